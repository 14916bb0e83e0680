"""Many pictures in one command: every way in which one can end, kills and stops, the same bytes as alone."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import pyvips

from netsounds_stream import batch, check, sonify
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.batches.plan import BatchPlan
from netsounds_stream.errors import BudgetError, OptionError, OutputError, Stopped, WeightsError
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.run.layout import work_path
from tests.helpers.forks import forked
from tests.helpers.reference import PROGRAM, command
from tests.helpers.runs import contents, has_commits

pytestmark = pytest.mark.process

#: Runs of a moment.
QUICK: dict[str, Any] = {"banks": (4,), "scheme": "sum", "mix": False, "report": False, "label": "x"}
QUICK_WORDS = ("--banks", "4", "--scheme", "sum", "--no-mix", "--no-report")
HANDS: list[dict[str, Any]] = [{"jobs": 2}, {"cluster": "local:2"}]


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forks of a process that has imported everything: for what they do, not how they begin.

    They are processes all the same, and die alone. How they begin otherwise, by an interpreter of their own,
    is in what commands do here, and in `test_every_status`.
    """
    if sys.platform != "linux":
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["netsounds_stream.api", "netsounds_stream.batches.worker", "distributed"])
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: context)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two good pictures, one below; one that is cut short."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, width, height in (("a.png", 90, 60), ("more/b.jpg", 70, 100), ("cut.png", 300, 200)):
        pyvips.Image.new_from_array(draw(width, height)).write_to_file(str(folder / name))
    cut = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(cut[: len(cut) // 2])
    return folder


@pytest.fixture
def broken(photos: Path) -> Path:
    """Beside the photos, what is called a picture and cannot be opened as one."""
    (photos / "text.jpg").write_text("no picture")
    (photos / "more/empty.PNG").touch()
    (photos / "notes").write_text("not called a picture")
    return photos


@pytest.fixture(scope="module")
def long_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be met in its midst."""
    path = tmp_path_factory.mktemp("long") / "long.png"
    pyvips.Image.new_from_array(draw(300, 200)).replicate(14, 3).pngsave(str(path))
    return path


def statuses(out: Path) -> dict[str, str]:
    """By folder, as `batch.jsonl` has them."""
    lines = (out / "batch.jsonl").read_text().splitlines()
    return {str(Path(each["folder"]).relative_to(out)): each["status"] for each in map(json.loads, lines)}


@pytest.mark.parametrize("hands", HANDS, ids=str)
def test_every_status(
    tmp_path: Path, photos: Path, weights_file: Path, hands: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    out, words = tmp_path / "out", {**QUICK, **hands, "weights": str(weights_file)}
    plans: list[BatchPlan] = []
    made = batch(photos, out, on_plan=plans.append, **words)
    assert statuses(out) == {"a": "done", "more/b": "done", "cut": "failed"}
    (failed,) = made.failed
    assert "cut.png" in failed.picture and "cannot be decoded" in (failed.error or "")
    assert (plans[0].new, plans[0].finished, plans[0].failing) == (3, 0, 0)
    assert plans[0].pixels == 90 * 60 + 70 * 100 + 300 * 200
    assert made.page == out / "index.html" and "more/b" in made.page.read_text()
    for result in made.results:
        if result.status == "done":
            check(result.folder).require_whole()
            assert result.peak_memory_bytes is not None and result.bytes > 0
            assert result.started < result.ended
    before = (out / "a/run.json").stat().st_mtime_ns

    request.getfixturevalue("quick_workers")
    made = batch(photos, out, on_plan=plans.append, **words)
    assert statuses(out) == {"a": "skipped", "more/b": "skipped", "cut": "failed"}
    assert (plans[1].new, plans[1].finished) == (1, 2)
    assert (out / "a/run.json").stat().st_mtime_ns == before


@pytest.mark.usefixtures("quick_workers")
def test_what_cannot_be_opened_is_listed_and_every_call_adds_its_lines(
    tmp_path: Path, broken: Path, weights_file: Path
) -> None:
    out, words = tmp_path / "out", {**QUICK, "jobs": 1, "weights": str(weights_file)}
    made = batch(broken, out, **words)
    first = {"a": "done", "more/b": "done", "cut": "failed", "text": "failed", "more/empty": "failed"}
    assert statuses(out) == first
    assert made.page is not None
    page = made.page.read_text()
    for name in ("cut.png", "text.jpg", "more/empty.PNG", "is empty (0 bytes)"):
        assert name in page
    assert str(tmp_path) not in page  # it may be sent to others
    with (out / "batch.jsonl").open("a") as file:
        file.write('{"cut short')  # as a call that is killed leaves it
    batch(broken, out, **words)
    lines = (out / "batch.jsonl").read_text().splitlines()
    assert lines.pop(5) == '{"cut short'
    calls = [json.loads(line)["call"] for line in lines]
    assert calls[:5] == [calls[0]] * 5 and calls[5:] == [calls[-1]] * 5
    assert calls[0] < calls[-1]
    second = {
        Path(each["folder"]).relative_to(out).as_posix(): each["status"] for each in map(json.loads, lines)
    }
    assert second == {**first, "a": "skipped", "more/b": "skipped"}


@pytest.mark.usefixtures("quick_workers")
def test_runs_of_something_else(tmp_path: Path, photos: Path, weights_file: Path) -> None:
    """Another picture, other options, a damaged run: told, and made again by `overwrite` alone."""
    out, words = tmp_path / "out", {**QUICK, "jobs": 1, "weights": str(weights_file)}
    for name in ("c.png", "d.png"):
        pyvips.Image.new_from_array(draw(60, 60)).pngsave(str(photos / name))
    (photos / "cut.png").unlink()
    batch(photos, out, **words)
    assert set(statuses(out).values()) == {"done"}
    pyvips.Image.new_from_array(draw(60, 90)).pngsave(str(photos / "a.png"))
    next(each for each in (out / "c").rglob("c/**/*") if each.is_file()).unlink()
    record = out / "d/run.json"
    record.write_text(record.read_text().replace('"label": "x"', '"label": "y"', 1))
    other = {**QUICK, "banks": (3,), "weights": str(weights_file)}
    sonify(photos / "more/b.jpg", out / "more/b", overwrite=True, **other)
    plans: list[BatchPlan] = []
    made = batch(photos, out, on_plan=plans.append, **words)
    errors = {Path(each.folder).name: each.error or "" for each in made.failed}
    assert "other picture (a.png)" in errors["a"] and "banks" in errors["b"]
    assert "is damaged" in errors["c"] and "run.json is damaged" in errors["d"]
    assert all("use --overwrite" in each for each in errors.values())
    assert (plans[0].finished, plans[0].failing) == (2, 2)  # what nobody has read looks whole
    batch(photos, out, overwrite=True, **words)
    assert set(statuses(out).values()) == {"done"}
    for name in ("a", "more/b", "c", "d"):
        check(out / name).require_whole()


def test_the_bytes_are_those_of_one_alone(
    tmp_path: Path, photos: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ("--weights", weights_file, "--duration", "1", "--banks", "4", "--quiet")
    done = command("batch", photos / "*.*", photos / "more", "--out", tmp_path / "out", "--jobs", "1", *words)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines() == [
        f"netsounds-stream: 1 of 3 pictures failed; {tmp_path / 'out'}/batch.jsonl says why, and the same "
        f"command tries them again"
    ]
    assert [line.split()[0] for line in done.stdout.splitlines()[:4]] == ["status", "done", "failed", "done"]
    alone = forked("sonify", photos / "more/b.jpg", "--out", tmp_path / "alone", *words)
    assert alone.returncode == 0, alone.stderr
    assert contents(tmp_path / "out/b") == contents(tmp_path / "alone")


@pytest.mark.usefixtures("quick_workers")
def test_weights_are_read_once_and_memory_is_as_planned(
    tmp_path: Path, photos: Path, weights_file: Path
) -> None:
    """The file's bytes are others, of its size and time, when the first picture begins."""
    (photos / "cut.png").unlink()
    copy = tmp_path / "copy.pth"
    copy.write_bytes(weights_file.read_bytes())
    os.utime(copy, (1, 1))

    def spoil(plan: BatchPlan) -> None:
        copy.write_bytes(bytes(copy.stat().st_size))
        os.utime(copy, (1, 1))

    words = {**QUICK, "weights": str(copy), "jobs": 1}
    made = batch(photos, tmp_path / "out", on_plan=spoil, **words)
    assert [each.status for each in made.results] == ["done", "done"]
    for result in made.results:
        record = json.loads((Path(result.folder) / "run.json").read_text())
        assert 100 << 20 < (result.peak_memory_bytes or 0) <= record["plan"]["peak_memory_bytes"]
    os.utime(copy, (2, 2))
    with pytest.raises(WeightsError, match="no weights that can be loaded"):
        batch(photos, tmp_path / "out", **words)


def worker_of(process: int, run: Path) -> psutil.Process | None:
    """The process that has the run's lock open."""
    for child in psutil.Process(process).children(recursive=True):
        try:
            if any(Path(each.path).parent == work_path(run) for each in child.open_files()):
                return child
        except psutil.Error:
            continue
    return None


def begun(out: Path, *words: object) -> subprocess.Popen[str]:
    """A batch in a process of its own, in a session of its own."""
    return subprocess.Popen(
        [PROGRAM, "batch", *map(str, words), "--out", str(out), "--checkpoint-seconds", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def both(photos: Path, long_picture: Path) -> Path:
    (photos / "cut.png").unlink()
    os.symlink(long_picture, photos / "long.png")
    return photos


class Midst:
    """A batch whose long picture is under way: the driver, the worker that has it, and all workers."""

    def __init__(self, out: Path, *words: object) -> None:
        self.driver = begun(out, *words)
        worker = None
        while worker is None or not has_commits(out / "long"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.driver.wait(0.02)  # for a look takes its time, too
                raise AssertionError(self.driver.communicate())
            worker = worker_of(self.driver.pid, out / "long")
        self.worker = worker
        self.workers = psutil.Process(self.driver.pid).children(recursive=True)

    def end(self) -> tuple[int, str]:
        """The driver's exit status and what it said of errors, when all its workers are gone."""
        _, errors = self.driver.communicate(timeout=120)
        _, alive = psutil.wait_procs(self.workers, timeout=60)
        assert not alive
        return self.driver.returncode, errors


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_killed_in_the_midst(tmp_path: Path, both: Path, weights_file: Path) -> None:
    """A worker costs its own picture; Ctrl-C puts all down; a driver takes its workers along. Then on."""
    out = tmp_path / "out"
    words = (both, "--weights", weights_file, "--jobs", 2, "--banks", "4", "--no-mix", "--no-report")
    killed = Midst(out, *words)
    killed.worker.kill()
    status, errors = killed.end()
    assert (status, "was killed" in errors) == (3, True), errors
    assert statuses(out) == {"a": "done", "more/b": "done", "long": "failed"}

    stopped = Midst(out, *words)
    os.killpg(stopped.driver.pid, signal.SIGINT)  # as a terminal does: to all of them
    status, errors = stopped.end()
    assert status == 130, errors
    assert errors.splitlines()[-1].endswith("stopped; finished work is kept; the same command continues it")
    assert statuses(out)["long"] == "stopped"

    orphaned = Midst(out, *words)
    orphaned.driver.kill()
    assert orphaned.end()[0] == -signal.SIGKILL
    assert has_commits(out / "long")

    done = command("batch", *words, "--out", out)
    assert done.returncode == 0, done.stderr
    assert statuses(out) == {"a": "skipped", "more/b": "skipped", "long": "resumed"}
    check(out / "long").require_whole()


@pytest.mark.usefixtures("quick_workers")
def test_a_stop_on_a_cluster(tmp_path: Path, both: Path, weights_file: Path) -> None:
    stop, out = Stop(), tmp_path / "out"

    def listen(progress: Progress) -> None:
        if has_commits(out / "long"):
            stop.ask()

    words = {**QUICK, "weights": str(weights_file), "cluster": "local:2"}
    with pytest.raises(Stopped):
        batch(both, out, stop=stop, on_progress=listen, checkpoint_seconds=0, **words)
    assert statuses(out)["long"] == "stopped"
    batch(both, out, **words)
    assert statuses(out)["long"] == "resumed"


@pytest.mark.usefixtures("quick_workers")
def test_a_run_of_other_options_is_gone_on_with_by_overwrite_only(
    tmp_path: Path, both: Path, weights_file: Path
) -> None:
    stop, out = Stop(), tmp_path / "out"

    def listen(progress: Progress) -> None:
        if has_commits(out / "long"):
            stop.ask()

    words = {**QUICK, "weights": str(weights_file), "jobs": 1}
    only = both / "long.png"
    with pytest.raises(Stopped):
        batch(only, out, stop=stop, on_progress=listen, checkpoint_seconds=0, **words)
    words["banks"] = (3,)
    (result,) = batch(only, out, **words).results
    assert result.status == "failed" and "--overwrite" in str(result.error)
    (result,) = batch(only, out, overwrite=True, **words).results
    assert result.status == "done"


@pytest.mark.usefixtures("quick_workers")
def test_a_disk_too_small(small_disk: Path, both: Path, weights_file: Path) -> None:
    with pytest.raises(BudgetError, match="disk"):
        batch([both] * 3, small_disk / "out", jobs=1, weights=str(weights_file), method="ifft")
    assert not (small_disk / "out").exists()


@pytest.mark.usefixtures("quick_workers")
def test_what_is_refused_before_the_work(tmp_path: Path, photos: Path, weights_file: Path) -> None:
    words = {**QUICK, "weights": str(weights_file), "jobs": 1}
    with pytest.raises(OptionError, match="jobs"):
        batch(photos, tmp_path / "out", **{**words, "jobs": 0})
    with pytest.raises(OptionError, match="--jobs"):
        batch(photos, tmp_path / "out", cluster="local", **words)
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        batch(photos, tmp_path / "out", **{**words, "weights": "absent.pth"})
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").write_text("mine")
    with pytest.raises(OutputError, match="of another kind"):
        batch(photos, tmp_path / "out", **words)


def test_without_dask(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(OptionError, match=r"pip install 'netsounds-stream\[cluster\]'"):
        batch(photos, tmp_path / "out", cluster="local:1", weights="untrained")


@pytest.mark.usefixtures("quick_workers")
def test_two_batches_at_one_folder(tmp_path: Path, both: Path, weights_file: Path) -> None:
    refused: list[str] = []

    def listen(progress: Progress) -> None:
        if not refused and (tmp_path / "out/.batch.lock").exists():
            refused.append(forked("batch", *words).stderr)

    words = (both / "a.png", "--out", tmp_path / "out", "--jobs", 1, "--weights", weights_file)
    batch(both / "a.png", tmp_path / "out", jobs=1, weights=str(weights_file), on_progress=listen, **QUICK)
    assert "another batch is working" in refused[0]


def test_the_plan_alone(tmp_path: Path, photos: Path, weights_file: Path) -> None:
    words = (photos, "--out", tmp_path / "out", "--weights", weights_file, *QUICK_WORDS, "--plan", "--json")
    done = forked("batch", *words)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["new"] == 3 and plan["pixels"] == 72400 and plan["seconds"] > 0
    assert plan["disk_bytes"] >= plan["final_disk_bytes"] > 0
    assert not (tmp_path / "out").exists()
