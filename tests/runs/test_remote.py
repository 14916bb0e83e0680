"""Runs and pictures under URLs, against a server that speaks S3 and fails as it is told to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pyvips

from netsounds_stream import check, resume, sonify
from netsounds_stream.api import plan
from netsounds_stream.base.locations import DOWNLOAD
from netsounds_stream.base.progress import Stages
from netsounds_stream.cluster.guards import VARIABLE
from netsounds_stream.errors import ClusterError, OptionError, OutputError, PictureError, RemoteError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.picture.fetching import fetched
from netsounds_stream.run.inspect import inspect
from netsounds_stream.store.object_store import PART_BYTES, ObjectFolder
from tests.helpers.forks import Command, forked
from tests.helpers.reference import ROOT, TIMED, command, large_picture
from tests.helpers.s3_server import KEY, SECRET, TOKEN, Server, serving

pytestmark = pytest.mark.process

WORDS: dict[str, Any] = {"banks": (1, 4), "label": "a", "scheme": ("sum", "concat")}
ARGUMENTS = ("--banks", "1,4", "--label", "a", "--scheme", "sum", "--scheme", "concat")


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The one server, without faults, and this process' environment set for it."""
    for name, value in running.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    running.faults()
    return running


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, small_picture: Path, weights_file: Path) -> Path:
    """The run that those elsewhere are compared with."""
    out = tmp_path_factory.mktemp("local") / "run"
    sonify(small_picture, out, weights=str(weights_file), **WORDS)
    return out


@pytest.fixture
def words(weights_file: Path, tmp_path: Path) -> dict[str, Any]:
    return {**WORDS, "weights": str(weights_file), "work": tmp_path / "work"}


def require_same(url: str, local: Path) -> None:
    """Every object is a file of the local run, byte for byte but for times, and there are no others."""
    objects = ObjectFolder(url)
    names = {path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()}
    assert set(objects.listed()) == names
    for name in names:
        assert name in TIMED or objects.get(name) == (local / name).read_bytes(), name


def called(server: Server, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command, with what it needs to use the server."""
    return forked(*words, cwd=ROOT, environment={**server.environment, **environment})


def killed_at_a_put(server: Server, *words: object) -> None:
    """The real command, killed when the server holds one of its requests back."""
    process = Command(*words, cwd=ROOT, environment=server.environment)
    server.held()
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_run_is_the_one_of_a_folder_whatever_the_server_does(
    server: Server, small_picture: Path, local: Path, words: dict[str, Any], tmp_path: Path
) -> None:
    server.faults(rate=0.2, seed=7)
    run = sonify(small_picture, "s3://bucket/faults", **words)
    happened = {line.split()[0] for line in server.log()}
    assert {"slow", "drop", "cut", "error"} <= happened
    server.faults()
    require_same("s3://bucket/faults", local)
    assert run.record["files"] == json.loads((local / "run.json").read_text())["files"]
    assert str(run.files[0]) == "s3://bucket/faults/mix.wav"
    assert not any((tmp_path / "work").iterdir())
    found = check("s3://bucket/faults")
    assert not found.damaged and not found.unknown and found.files == check(local).files
    assert inspect("s3://bucket/faults")["files"] == inspect(local)["files"]
    array = "activations-4_a.zarr"
    assert inspect(f"s3://bucket/faults/{array}")["attributes"] == inspect(local / array)["attributes"]
    assert resume("s3://bucket/faults", work=tmp_path / "work").record == run.record
    xarray = pytest.importorskip("xarray")
    there, here = (
        xarray.open_zarr(place, chunks=None)
        for place in (ObjectFolder("s3://bucket").for_zarr("faults"), local)
    )
    xarray.testing.assert_identical(there, here)


def test_a_cluster_puts_and_reads_there(
    server: Server, words: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers put shards, and read them for the sound; the sound itself is made in the shared folder."""
    pytest.importorskip("distributed")
    picture, here = tmp_path / "long.png", {**words, "work": None}
    pyvips.Image.new_from_array(draw(1100, 90)).pngsave(str(picture))
    alone = sonify(picture, tmp_path / "alone", **here)
    server.faults(rate=0.1, seed=3)
    run = sonify(picture, "s3://bucket/cluster", cluster="local:2", segment_rows=256, **words)
    assert run.record["cluster"]["segments"] >= 2
    server.faults()
    require_same("s3://bucket/cluster", tmp_path / "alone")
    assert alone.record["prediction"] == run.record["prediction"]
    with pytest.raises(OptionError, match="--work"):
        sonify(picture, "s3://bucket/b", cluster="tcp://127.0.0.1:9", **here)
    monkeypatch.setenv(VARIABLE, f"{words['work']}:s3://bucket/other")
    with pytest.raises(ClusterError, match="s3://bucket/mine"):
        sonify(picture, "s3://bucket/mine", cluster="local:1", **words)


def test_memory_keeps_to_the_plan_and_long_files_go_in_parts(
    server: Server, weights_file: Path, tmp_path: Path
) -> None:
    picture, url = tmp_path / "a.jpg", "s3://bucket/large"
    large_picture(1200, 900, picture)
    given = ("--out", url, "--work", tmp_path / "work", "--weights", weights_file, "--label", "a")
    given = (*given, "--scheme", "concat", "--banks", "1", "--quiet", "--json")
    done = command("sonify", picture, *given)  # whose memory is measured; `server` has set our environment
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["peak_memory_bytes"] <= record["plan"]["peak_memory_bytes"]
    longest = max(size for name, size in ObjectFolder(url).listed().items() if name.endswith(".wav"))
    assert longest > PART_BYTES
    found = check(url)
    assert not found.damaged and not found.unknown


def test_damage_is_found(server: Server, small_picture: Path, words: dict[str, Any]) -> None:
    sonify(small_picture, "s3://bucket/damage", **words, report=False)
    objects = ObjectFolder("s3://bucket/damage")
    shard = next(name for name in objects.listed() if "activations-1_a.zarr/c/" in name)
    content = bytearray(objects.get(shard) or b"")
    content[len(content) // 2] ^= 1
    objects.put(shard, bytes(content))
    objects.delete(["mix.wav"])
    assert {each.name for each in check("s3://bucket/damage").damaged} == {shard, "mix.wav"}


def test_killed_and_gone_on_with(
    server: Server, small_picture: Path, local: Path, weights_file: Path, tmp_path: Path
) -> None:
    """At a put among the shards, at one among the files of sound, and at the record."""
    url, work = "s3://bucket/killed", tmp_path / "work"
    where = ("--work", work)
    begin = ("sonify", small_picture, "--out", url, "--weights", weights_file, *ARGUMENTS, *where)
    words: tuple[object, ...] = begin
    for number in (2, 8, 2):
        server.faults(hold=number)
        killed_at_a_put(server, *words, "--quiet", "--checkpoint-seconds", "0")
        assert ObjectFolder(url).get("run.json") is None
        words = (*begin, "--resume")
    server.faults()
    done = called(server, *words, "--quiet")
    assert done.returncode == 0, done.stderr
    require_same(url, local)
    assert not any(work.iterdir())


def test_killed_at_the_record(
    server: Server, small_picture: Path, local: Path, weights_file: Path, tmp_path: Path
) -> None:
    """Everything is there but the marker: it is put without any work."""
    url, where = "s3://bucket/last", ("--work", tmp_path / "work")
    begin = ("sonify", small_picture, "--out", url, "--weights", weights_file, *ARGUMENTS, *where)
    server.faults(hold=len([path for path in local.rglob("*") if path.is_file()]))
    killed_at_a_put(server, *begin, "--quiet")
    server.faults()
    assert resume(url, work=tmp_path / "work").label == "a"
    assert [line for line in server.log() if "PUT" in line] == ["ok PUT /bucket/last/run.json "]
    require_same(url, local)
    assert not any((tmp_path / "work").iterdir())


def test_what_is_there_is_kept_or_replaced_whole(
    server: Server, small_picture: Path, local: Path, words: dict[str, Any]
) -> None:
    objects = ObjectFolder("s3://bucket/again")
    objects.put("notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        sonify(small_picture, "s3://bucket/again", **words)
    objects.delete(["notes.txt"])
    sonify(small_picture, "s3://bucket/again", **{**words, "label": "b", "report": False})
    with pytest.raises(OutputError, match="holds a run already"):
        sonify(small_picture, "s3://bucket/again", **words)
    objects.put("notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        sonify(small_picture, "s3://bucket/again", overwrite=True, **words)
    objects.delete(["notes.txt"])
    server.faults()
    sonify(small_picture, "s3://bucket/again", overwrite=True, **words)
    changes = [line for line in server.log() if "GET" not in line]
    assert changes[0].startswith("ok POST") and changes[0].endswith(" again/run.json")
    assert changes[-1].startswith("ok PUT /bucket/again/run.json")
    require_same("s3://bucket/again", local)


def test_tries_end_and_the_run_goes_on(
    server: Server, small_picture: Path, local: Path, weights_file: Path, tmp_path: Path
) -> None:
    url, where = "s3://bucket/dead", ("--work", tmp_path / "work")
    begin = ("sonify", small_picture, "--out", url, "--weights", weights_file, *ARGUMENTS, *where)
    server.faults(dead_after=12)
    found = called(server, *begin, "--quiet", "--checkpoint-seconds", "0", NETSOUNDS_STORE_RETRIES="1")
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert "503 Service Unavailable" in line or "503 SlowDown" in line
    assert "after 2 tries" in line and f"netsounds-stream resume {url} --work" in line
    server.faults()
    assert called(server, "resume", url, *where, "--quiet").returncode == 0
    require_same(url, local)


def test_secrets_stay_secret(server: Server, small_picture: Path, weights_file: Path, tmp_path: Path) -> None:
    """Not in what is said, nor in what is written: of runs that fail in many ways, of one that does not."""
    signed = f"{server.endpoint}/bucket/p.png?X-Amz-Signature={SECRET}&X-Amz-Security-Token={TOKEN}"
    named = server.endpoint.replace("//", f"//somebody:{SECRET}@") + "/bucket/p.png"
    ObjectFolder("s3://bucket").put("p.png", small_picture.read_bytes())
    common = ("--weights", weights_file, "--banks", "4", "--scheme", "sum", "--quiet")
    work = ("--work", tmp_path / "work")
    once = {"NETSOUNDS_STORE_RETRIES": "0"}
    said = []
    for picture, out, refuse in (
        (small_picture, "s3://nobucket/run", False),
        (small_picture, f"s3://{KEY}:{SECRET}@bucket/run", False),
        (small_picture, "s3://bucket/refused", True),
        (signed, tmp_path / "refused", True),
        (named, tmp_path / "named", False),
        (signed.replace("p.png", "none.png"), tmp_path / "none", False),
        (signed.replace("127.0.0.1:", "127.0.0.1:1"), tmp_path / "port", False),
    ):
        server.faults(refuse=refuse)
        found = called(server, "sonify", picture, "--out", out, *common, *work, **once)
        assert (found.returncode != 0) == (picture is not named), found.stderr
        assert len(found.stderr.splitlines()) == (picture is not named)
        said.append(found.stdout + found.stderr)
    server.faults()
    found = called(server, "sonify", signed, "--out", tmp_path / "whole", *common)
    assert found.returncode == 0, found.stderr
    server.faults(hold=2)
    stopped = tmp_path / "stopped"
    killed_at_a_put(server, "sonify", signed, "--out", "s3://bucket/stopped", "--work", stopped, *common)
    server.faults()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "journal.json" for path in files) and (tmp_path / "whole" / "run.json") in files
    texts = [*said, found.stdout + found.stderr, *(path.read_bytes().decode("latin-1") for path in files)]
    for text in texts:
        for secret in (SECRET, TOKEN, KEY):
            assert secret not in text
    record = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert record["picture"]["path"] == f"{server.endpoint}/bucket/p.png"


def test_a_picture_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    picture = bytes(range(256)) * 20_000
    ObjectFolder("s3://bucket/pictures").put("large one.bin", picture)
    for number, url in enumerate(
        ("s3://bucket/pictures/large one.bin", f"{server.endpoint}/bucket/pictures/large%20one.bin?sig=1")
    ):
        folder = tmp_path / str(number)
        spool = fetched(url, folder, Stages())
        assert spool.read_bytes() == picture
        spool.write_bytes(picture[:3_000_000])
        server.faults()
        assert fetched(url, folder, Stages()).read_bytes() == picture
        assert len(server.log()) == 1 and "bytes=3000000-" in server.log()[0]
        server.faults()
        spool.touch()
        fetched(url, folder, Stages())
        assert len(server.log()) == 1  # whole: the server is asked whether it is the same
        server.faults()
        fetched(url, folder, Stages(), begun_with=hashlib.sha256(picture).hexdigest())
        assert not server.log()  # a stopped run's own picture is known by its bytes
        assert fetched(url, folder, Stages(), anew=True).read_bytes() == picture
        assert len(server.log()) == 1 and "bytes=" not in server.log()[0]
        about = folder / DOWNLOAD / "about.json"
        about.write_text(about.read_text().replace('etag": "', 'etag": "another'))
        spool.write_bytes(b"x" * 3_000_000)
        assert fetched(url, folder, Stages()).read_bytes() == picture
    with pytest.raises(PictureError, match=r"s3://bucket/pictures/none\.png"):
        fetched("s3://bucket/pictures/none.png", tmp_path / "none", Stages())
    assert not (tmp_path / "none").exists()


def test_the_plan_tells_both_disks(server: Server, small_picture: Path, weights_file: Path) -> None:
    here = plan(small_picture, weights=str(weights_file))
    there = plan(small_picture, "s3://bucket/plan", weights=str(weights_file))
    assert there.remote_bytes == here.final_disk_bytes and there.final_disk_bytes == 0 == here.remote_bytes
    stored = sum(bank.stored_bytes_estimate for bank in here.banks)
    assert there.disk_bytes <= here.disk_bytes - stored
    assert there.forward_memory_bytes > here.forward_memory_bytes
    ObjectFolder("s3://bucket").put("a.png", small_picture.read_bytes())
    fetched_one = plan("s3://bucket/a.png", weights=str(weights_file))
    assert fetched_one.disk_bytes == here.disk_bytes + small_picture.stat().st_size


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, small_picture: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(OptionError, match=r"pip install 'netsounds-stream\[remote\]'"):
        sonify(small_picture, "s3://bucket/run", work=tmp_path)
    with pytest.raises(OptionError, match=r"pip install 'netsounds-stream\[remote\]'"):
        sonify("https://127.0.0.1:1/a.png", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_local_run_imports_nothing_of_it(small_picture: Path, weights_file: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys, netsounds_stream as n\n"
        "n.sonify(sys.argv[1], sys.argv[2], weights=sys.argv[3], banks=(4,), scheme='sum', report=False)\n"
        "far = ('store.object_store', 'run.remote_storage', 'picture.fetching')\n"
        "far = {f'netsounds_stream.{each}' for each in far}\n"
        "assert not (far | {'obstore'}) & set(sys.modules), sorted(sys.modules)\n"
        "assert all(importlib.util.find_spec(each) for each in far)"
    )
    words = [sys.executable, "-c", code, str(small_picture), str(tmp_path / "run"), str(weights_file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_commands_that_read_folders_say_so(server: Server, tmp_path: Path) -> None:
    for words in (
        ("plot", "s3://b/r"),
        ("gallery", "s3://b/r", "--out", tmp_path),
        ("verify", "s3://b/p.png"),
    ):
        found = called(server, *words)
        assert found.returncode == 1 and "copy s3://b/" in found.stderr


def test_a_bucket_is_no_run(server: Server, small_picture: Path) -> None:
    with pytest.raises(OutputError, match="is a bucket"):
        sonify(small_picture, "s3://bucket")
    with pytest.raises(RemoteError, match="nobucket"):
        sonify(small_picture, "s3://nobucket/run")


def test_the_usual_files(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys of a profile, where the environment has none; they are sent, and a broken file is not repeated."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    file.write_text(f"[work]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "work")
    ObjectFolder("s3://bucket/profile").put("a", b"x")
    assert ObjectFolder("s3://bucket/profile").get("a") == b"x"
    file.write_text(f"aws_secret_access_key = {SECRET}\n")
    with pytest.raises(OptionError) as caught:
        ObjectFolder("s3://bucket/profile")
    assert SECRET not in str(caught.value)
    shutil.rmtree(tmp_path)


class Changing(BaseHTTPRequestHandler):
    """A web server's picture: `body`, with the headers in `headers`."""

    body = b""
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(self.body)), **self.headers_sent}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who has it already reads no more
            self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Changing) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/a.png"
        served.shutdown()
        thread.join()


DATES = {"Last-Modified": "Mon, 01 Jun 2026 10:00:00 GMT"}, {"Last-Modified": "Tue, 02 Jun 2026 10:00:00 GMT"}


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        ({"ETag": '"1"'}, {"ETag": '"1"'}, True),
        ({"ETag": '"1"'}, {"ETag": '"2"'}, False),
        ({"ETag": 'W/"1"', **DATES[0]}, {"ETag": 'W/"1"', **DATES[1]}, True),
        ({"ETag": '"1"'}, {}, False),
        (DATES[0], DATES[0], True),
        (DATES[0], DATES[1], False),
        ({}, {}, False),
    ],
)
def test_a_picture_is_used_again_only_if_it_is_the_same(
    web: str, tmp_path: Path, then: dict[str, str], now: dict[str, str], same: bool
) -> None:
    Changing.body, Changing.headers_sent = b"first", then
    assert fetched(web, tmp_path, Stages()).read_bytes() == b"first"
    Changing.body, Changing.headers_sent = b"other", now  # of the same length
    assert fetched(web, tmp_path, Stages()).read_bytes() == (b"first" if same else b"other")
    Changing.body = b"longer"
    assert fetched(web, tmp_path, Stages()).read_bytes() == b"longer"


def test_what_is_no_picture_is_named_by_its_url_and_not_kept(web: str, tmp_path: Path) -> None:
    Changing.body, Changing.headers_sent = b"<html>sign in to the hotel network</html>", DATES[0]
    with pytest.raises(PictureError, match=r"http://127.0.0.1.*a.png is not a picture"):
        sonify(web, tmp_path / "run", weights="untrained", banks=(4,), mix=False, report=False)
    assert not list(tmp_path.iterdir())
