"""A folder and a URL are told apart once; what takes either is an interface with two complete forms."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from netsounds_stream.run.destinations import location_of, location_to_resume
from netsounds_stream.run.files import LocalRunFiles, RunFiles
from netsounds_stream.run.folder import LocalRunFolder, RunFolder
from netsounds_stream.run.layout import work_path
from netsounds_stream.run.location import LocalRunLocation, RunLocation
from netsounds_stream.run.storage import LocalStorage, StorageBackend

from ...helpers.reference import ROOT


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    location = location_of(tmp_path / "run")
    assert isinstance(location, LocalRunLocation) and not location.remote
    assert location.disk == tmp_path / "run"
    assert location.files().place == tmp_path / "run"
    with location.folder(overwrite=False) as folder:
        assert (folder.place, folder.path) == (tmp_path / "run", work_path(tmp_path.resolve() / "run"))
        assert not folder.remote
    assert list(tmp_path.iterdir()) == []


def test_a_url_is_an_object_store(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    location = location_of("s3://bucket/run/", tmp_path)
    assert location.remote
    assert location.disk.parent == tmp_path
    assert location.files().place == "s3://bucket/run"
    with location.folder(overwrite=False) as folder:
        assert folder.place == "s3://bucket/run"
        assert folder.path.parent == location.disk and folder.remote


def test_the_hidden_folder_of_a_run_names_it_too(tmp_path: Path) -> None:
    out = tmp_path.resolve() / "run"
    for place in (out, work_path(out)):
        assert location_to_resume(place).disk == out


def test_each_interface_has_two_forms() -> None:
    pytest.importorskip("obstore")
    from netsounds_stream.run.remote_files import RemoteRunFiles
    from netsounds_stream.run.remote_folder import RemoteRunFolder
    from netsounds_stream.run.remote_location import RemoteRunLocation
    from netsounds_stream.run.remote_storage import ObjectStorage

    for interface, forms in (
        (RunLocation, (LocalRunLocation, RemoteRunLocation)),
        (RunFolder, (LocalRunFolder, RemoteRunFolder)),
        (RunFiles, (LocalRunFiles, RemoteRunFiles)),
        (StorageBackend, (LocalStorage, ObjectStorage)),
    ):
        assert inspect.isabstract(interface)
        for form in forms:
            assert issubclass(form, interface) and not inspect.isabstract(form), form


def test_urls_are_recognized_where_a_users_word_comes_in() -> None:
    """Everything after that holds a value which knows."""
    package = ROOT / "netsounds_stream"
    asking = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "is_url(" in path.read_text()
    }
    assert asking == {
        "base/locations.py",
        "cli/common.py",  # a command's notes, before anything large is imported
        "cluster/checks.py",
        "cluster/guards.py",  # the roots in a worker's environment
        "picture/opening.py",
        "run/destinations.py",
    }
