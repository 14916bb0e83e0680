"""`check`: a run as it was written passes, and a bit turned anywhere in it is found."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from netsounds_stream import Stop, Stopped, check, sonify
from netsounds_stream.base.checksums import (
    combined,
    crc32c,
    file_sum,
    full_crc32c,
    linear_part,
    sealed,
    shifted,
)
from netsounds_stream.errors import DamagedError, OutputError
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.counts import FLIPS
from tests.helpers.forks import forked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weights_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("check")
    pyvips.Image.new_from_array(draw(120, 90)).pngsave(str(folder / "a.png"))
    words = {
        "scheme": ("sum", "concat", "filters"),
        "top": 9,
        "subtype": "PCM_24",
        "label": "a",
        "duration": 1,
    }
    sonify(
        folder / "a.png",
        folder / "run",
        weights=str(weights_file),
        report=False,
        banks=(1, 2),
        codec="zstd",
        **words,
    )
    return folder / "run"


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=6), st.randoms())
def test_checksums_of_stretches_in_any_order(content: bytes, cuts: list[int], rng: random.Random) -> None:
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    stretches = list(itertools.pairwise(edges))
    rng.shuffle(stretches)
    total = 0
    for start, end in stretches:
        total ^= shifted(linear_part(content[start:end], end - start), len(content) - end)
    assert full_crc32c(total, len(content)) == crc32c(content)


def test_the_checksum_is_crc_32c_and_equal_spacing_needs_one_number() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's polynomial, the value every catalogue gives
    parts = [linear_part(bytes([number] * 30), 30) for number in range(9)]
    apart = 0
    for number, part in enumerate(parts):
        apart ^= shifted(part, (8 - number) * 100)
    assert combined(parts, 100) == apart


@pytest.mark.process
def test_a_whole_run(run: Path) -> None:
    found = check(run)
    found.require_whole()
    record = json.loads((run / "run.json").read_text())
    assert found.files == len(record["checksums"]) + 1 == sum(path.is_file() for path in run.rglob("*"))
    assert found.bytes == sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    for name, each in record["checksums"].items():  # as written, against the file as it is
        assert file_sum(run / name).to_json() == each
    done = forked("check", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{found.files} of {found.files} files are as they were written")


@pytest.mark.slow
def test_a_bit_turned_anywhere_is_found(run: Path) -> None:
    rng = random.Random(3)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    places = [(path, rng.randrange(path.stat().st_size)) for path in rng.choices(files, k=FLIPS - 10)]
    places += [(run / "run.json", rng.randrange((run / "run.json").stat().st_size)) for _ in range(10)]
    for path, place in places:
        content = path.read_bytes()
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        found = check(run)
        path.write_bytes(content)
        name = path.relative_to(run).as_posix()
        # what zarr.json says decides where shards are: others may be named with it
        assert name in {each.name for each in found.damaged} or name.endswith("zarr.json"), (name, place)
        with pytest.raises(DamagedError, match="make the run again"):
            found.require_whole()
    check(run).require_whole()


def test_missing_cut_longer_and_foreign_files(run: Path, tmp_path: Path) -> None:
    def damaged(change: str) -> tuple[set[str], tuple[str, ...]]:
        copy = tmp_path / change
        shutil.copytree(run, copy)
        wav, shard = copy / "activations-2_a_sum.wav", copy / "activations-1_a.zarr" / "c" / "0" / "0" / "0"
        match change:
            case "missing":
                wav.unlink()
                shard.unlink()
            case "cut":
                for path in (wav, shard):
                    path.write_bytes(path.read_bytes()[:-1])
            case "longer":
                for path in (wav, shard):
                    path.write_bytes(path.read_bytes() + b"\0")
            case "foreign":
                (copy / "letter").write_text("dear")
            case "array":
                shutil.rmtree(copy / "activations-1_a.zarr")
        found = check(copy)
        return {each.name for each in found.damaged}, found.unknown

    both = {"activations-2_a_sum.wav", "activations-1_a.zarr/c/0/0/0"}
    assert damaged("missing") == (both, ())
    assert damaged("cut") == (both, ())
    assert damaged("longer") == (both, ())
    assert damaged("foreign") == (set(), ("letter",))
    names, _ = damaged("array")
    assert {
        "activations-1_a.zarr",
        "activations-1_a.zarr/zarr.json",
        *both - {"activations-2_a_sum.wav"},
    } <= names


def test_a_shard_that_was_written_wrong_does_not_decode(run: Path, tmp_path: Path) -> None:
    """With its checksum right, as if the codec had failed at writing."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shard = copy / "activations-1_a.zarr" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[:64] = bytes(64)
    shard.write_bytes(content)
    record = json.loads((copy / "run.json").read_text())
    del record["crc32c"]
    record["checksums"]["activations-1_a.zarr/c/0/0/0"] = file_sum(shard).to_json()
    (copy / "run.json").write_text(sealed(record))
    (only,) = check(copy).damaged
    assert only.name == "activations-1_a.zarr/c/0/0/0"
    assert "filter 0" in only.what


@pytest.mark.process
def test_what_is_no_finished_run(tmp_path: Path, picture_file: Path, weights_file: Path, run: Path) -> None:
    with pytest.raises(OutputError, match="holds no run"):
        check(tmp_path)
    stop = Stop()
    with pytest.raises(Stopped):
        sonify(
            picture_file,
            tmp_path / "run",
            weights=str(weights_file),
            report=False,
            stop=stop,
            on_progress=lambda _: stop.ask(),
        )
    with pytest.raises(OutputError, match="netsounds-stream resume"):
        check(tmp_path / "run")
    (tmp_path / "copy").mkdir()
    text = (run / "run.json").read_text()
    (tmp_path / "copy" / "run.json").write_text(text.replace('"label": "a"', '"label": "b"', 1))
    done = forked("check", tmp_path / "copy")
    assert done.returncode == 1
    assert done.stdout.startswith("DAMAGED run.json: its bytes have changed")
    assert "is damaged (run.json)" in done.stderr


def test_a_label_like_a_working_file(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    words: dict[str, Any] = {
        "weights": str(weights_file),
        "report": False,
        "label": "x.spool",
        "banks": (4,),
        "duration": 1,
    }
    run = sonify(picture_file, tmp_path / "run", **words)
    assert len(run.files) == 4  # the mix, the array, its sum, its sum map
    check(tmp_path / "run").require_whole()
