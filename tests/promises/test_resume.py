"""Runs that are killed, stopped and gone on with: the real command, and files byte for byte the same."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import pyvips

from netsounds_stream import check, resume, sonify
from netsounds_stream.base.checksums import sealed
from netsounds_stream.base.journal import Journal, Step, new_journal, read_journal
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.errors import OutputError, PictureError, Stopped, StoreError
from netsounds_stream.picture.demo_picture import draw
from tests.helpers.counts import KILLS
from tests.helpers.forks import Command, forked
from tests.helpers.reference import command, large_picture, page_data
from tests.helpers.runs import (
    contents,
    has_commits,
    kill_until_finished,
    stopped_run,
)

pytestmark = pytest.mark.process


@pytest.mark.parametrize("case", KILLS)
def test_killed_again_and_again(tmp_path: Path, weights_file: Path, case: str) -> None:
    kills, width, height, options = KILLS[case]
    picture = tmp_path / "a.png"
    pyvips.Image.new_from_array(draw(width, height)).pngsave(str(picture))
    words = ["sonify", str(picture), "--weights", str(weights_file), "--label", "a", *options.split()]
    words += ["--duration", "1"]
    whole = command(*words, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    words += ["--out", str(tmp_path / "run"), "--resume", "--checkpoint-seconds", "0"]
    steps = kill_until_finished(words, tmp_path / "run", kills=kills, seed=1)
    assert steps["network"]
    assert (
        len(steps) > 1 or case == "sum only"
    )  # not at one place only, where there is more than one of weight
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "run", "whole"]


SOUND: dict[str, Any] = {"scheme": ("filters", "sum"), "scale": "minmax", "duration": 1}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, picture_file: Path, weights_file: Path) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    sonify(picture_file, out, weights=str(weights_file), label="a", **SOUND)
    return out


@pytest.mark.parametrize("stage", ["network", "sound 1", "sound 4", "mix", "report"])
def test_stopped_in_every_stage(
    tmp_path: Path, picture_file: Path, weights_file: Path, undisturbed: Path, stage: str
) -> None:
    """Asked to stop at a stage, and again whenever it goes on, until it is through."""
    stop = Stop()

    def listen(progress: Progress) -> None:
        if progress.stage == stage and progress.done > progress.earlier:
            stop.ask()

    words: dict[str, Any] = {"weights": str(weights_file), "label": "a", **SOUND}
    with pytest.raises(Stopped) as caught:
        sonify(picture_file, tmp_path / "run", stop=stop, on_progress=listen, **words)
    assert "netsounds-stream resume" in "".join(caught.value.__notes__)
    assert not (tmp_path / "run").exists()
    with pytest.raises(OutputError, match="--resume"):
        sonify(picture_file, tmp_path / "run", **words)
    for _ in range(3):
        stop = Stop()
        try:
            resume(tmp_path / "run", stop=stop, on_progress=listen)
        except Stopped:
            continue
        break
    run = resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(undisturbed)
    assert page_data(tmp_path / "run") == page_data(undisturbed)
    check(tmp_path / "run").require_whole()
    assert run.record["starts"] >= 2
    assert resume(tmp_path / "run").record == run.record  # a finished run is given as it is


@pytest.mark.parametrize(("sent", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_asked_to_stop(
    tmp_path: Path,
    picture_file: Path,
    weights_file: Path,
    undisturbed: Path,
    sent: signal.Signals,
    times: int,
) -> None:
    words = ("--label", "a", "--scheme", "filters", "--scheme", "sum", "--scale", "minmax", "--duration", 1)
    options = ("--weights", weights_file, "--checkpoint-seconds", 0, *words)
    process = Command("sonify", picture_file, "--out", "run", *options, cwd=tmp_path)
    process.until(lambda: has_commits(tmp_path / "run"))
    process.send_signal(sent)
    if times == 2:
        process.until(lambda: "stopping" in process.stderr)
        process.send_signal(sent)
    assert process.wait() == 130
    assert process.stderr.splitlines()[-1] == (
        "netsounds-stream: stopped; finished work is kept; continue with: netsounds-stream resume run"
    )
    assert not (tmp_path / "run").exists()
    assert forked("resume", "run", cwd=tmp_path).returncode == 0
    assert contents(tmp_path / "run") == contents(undisturbed)


def test_what_would_change_the_bytes_is_refused(
    tmp_path: Path, picture_file: Path, weights_file: Path
) -> None:
    picture = tmp_path / "a.png"
    shutil.copy(picture_file, picture)
    words: dict[str, Any] = {"weights": str(weights_file), "report": False, "label": "a", "banks": (1, 4)}

    def stopped() -> None:
        stop = Stop()
        with pytest.raises(Stopped):
            sonify(picture, tmp_path / "run", stop=stop, on_progress=lambda each: stop.ask(), **words)

    stopped()
    work = tmp_path / ".run.partial"
    journal = (work / "journal.json").read_text()

    def refused(says: str, **changed: Any) -> None:
        before = contents(work)
        with pytest.raises(OutputError, match=says):
            sonify(picture, tmp_path / "run", resume=True, **{**words, **changed})
        if not changed:
            with pytest.raises(OutputError, match=says):
                resume(tmp_path / "run")
        assert contents(work) == before  # nothing was lost

    refused("banks .* instead of", banks=(1, 2))
    refused("scale minmax instead of peak", scale="minmax")
    refused("codec none instead of lz4", codec="none")
    refused("other weights", weights="untrained")
    refused("label b instead of a", label="b")
    for part in ("torch", "libvips", "netsounds-stream"):
        (work / "journal.json").write_text(journal)
        changed = json.loads(journal)
        changed["record"]["versions"][part] = "0.0"
        del changed["crc32c"]
        (work / "journal.json").write_text(sealed(changed))
        refused(f"{part} .* instead of 0.0")
    (work / "journal.json").write_text(journal)
    pyvips.Image.new_from_array(draw(331, 230)).invert().pngsave(str(picture))
    refused("other picture")
    with pytest.raises(PictureError):
        sonify(tmp_path / "absent.png", tmp_path / "run", overwrite=True, **words)
    assert read_journal(work)  # it is given up for a run that can begin, no sooner
    with pytest.raises(OutputError, match="no stopped run"):
        resume(tmp_path / "absent")


def test_the_budget_of_a_resumed_run(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    stop = Stop()
    with pytest.raises(Stopped):
        sonify(picture_file, tmp_path / "run", stop=stop, on_progress=lambda each: stop.ask(),
               weights=str(weights_file), report=False, label="a", duration=1)  # fmt: skip
    done = forked("resume", tmp_path / "run", "--memory", "64MiB")
    assert (done.returncode, "raise --memory" in done.stderr) == (1, True)
    assert forked("resume", tmp_path / "run", "--memory", "2GiB").returncode == 0


def test_what_a_kill_kept_from_being_removed(tmp_path: Path, picture_file: Path, weights_file: Path) -> None:
    """Between a commit and what was to follow it: arrays half removed, states and spools left."""
    options = {"activations": False, "balance": "filter", "banks": (3, 4), "duration": 1}
    sonify(picture_file, tmp_path / "whole", weights=str(weights_file), report=False, label="a", **options)
    work = stopped_run(tmp_path, picture_file, weights_file, "sound 4", **options)
    (work / "activations-3_a.zarr" / "c").mkdir(parents=True)
    (work / "activations-3_a.zarr" / "zarr.json").write_text("{}")
    (work / "state-1-64.npz").touch()
    (work / "picture.spool.tif").touch()
    run = resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    maps = {path.name for path in run.files if path.suffix == ".zarr"}
    assert maps == {"sums-3_a.zarr", "sums-4_a.zarr"}
    check(tmp_path / "run").require_whole()


@pytest.mark.parametrize("damage", ["state", "state is gone", "sum", "sum is gone", "journal"])
def test_a_damaged_working_folder(
    tmp_path: Path, picture_file: Path, weights_file: Path, damage: str
) -> None:
    work = stopped_run(tmp_path, picture_file, weights_file, "network")
    (state,) = work.glob("state-*.npz")
    target = {"state": state, "sum": work / "temporary" / "sum-1.spool", "journal": work / "journal.json"}[
        damage.split()[0]
    ]
    if damage.endswith("gone"):
        target.unlink()
    elif damage == "sum":
        target.write_bytes(target.read_bytes()[:-4])
    else:
        content = bytearray(target.read_bytes())
        content[-40] ^= 1  # of the state, in the zip's directory, which its own checksums do not cover
        target.write_bytes(content)
    with pytest.raises(StoreError, match="--overwrite"):
        resume(tmp_path / "run")
    assert work.exists()
    again = forked(
        "sonify",
        picture_file,
        "--out",
        tmp_path / "run",
        "--weights",
        weights_file,
        "--overwrite",
        "--duration",
        1,
        "--no-report",
    )
    assert again.returncode == 0, again.stderr


def test_a_damaged_picture_spool(tmp_path: Path, weights_file: Path) -> None:
    picture = tmp_path / "a.jpg"
    large_picture(5300, 4300, picture)  # past what is kept in memory
    work = stopped_run(tmp_path, picture, weights_file, "network", banks=(4,), scheme="sum", memory="2GiB")
    (work / "picture.spool.tif").write_bytes(b"not a picture")
    done = forked("resume", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    assert "picture.spool.tif cannot be read" in done.stderr and "start again" in done.stderr


def test_a_failed_shard_stops_a_run_whose_commits_wait_for_it(
    tmp_path: Path, picture_file: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two marks under way, the first waiting for a shard that never comes: an error, no waiting for ever."""
    from netsounds_stream.store.arrays import ShardWriter

    def fail(self: ShardWriter, parts: object, number: int) -> None:
        raise OutputError("no room for a shard")

    monkeypatch.setattr(ShardWriter, "_write", fail)
    with pytest.raises(OutputError, match="no room for a shard"):
        sonify(
            picture_file,
            tmp_path / "run",
            weights=str(weights_file),
            report=False,
            checkpoint_seconds=0,
            memory="2GiB",
        )


def test_nothing_is_committed_on_top_of_a_commit_that_failed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, new_journal({}))
    journal.write()
    journal.completed(Step("first"), lambda cancelled: {tmp_path / "absent": None})
    with pytest.raises(OutputError, match="absent"):
        journal.flush()
    journal.completed(Step("first"), lambda cancelled: {tmp_path / "absent": None})
    journal.flush_soon()
    for thread in threading.enumerate():
        if thread.name == "journal":
            thread.join()
    assert not journal.busy
    journal.completed(Step("second"), lambda cancelled: {})
    with pytest.raises(OutputError, match="absent"):
        journal.flush_soon()
    left = read_journal(tmp_path)
    assert left is not None and left["steps"] == {}
