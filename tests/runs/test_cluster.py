"""One picture on a Dask cluster of real processes: the same bytes as on one machine, whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
import pyvips
from distributed import Client, LocalCluster, Security

from netsounds_stream import Run, resume, sonify
from netsounds_stream.base.journal import read_journal
from netsounds_stream.base.progress import Progress, Stop
from netsounds_stream.cluster import dask_cluster
from netsounds_stream.cluster.dask_cluster import Cluster, check_address, connected
from netsounds_stream.cluster.guards import TOKEN, VARIABLE, require_within
from netsounds_stream.cluster.segment_merge import ClusterRun
from netsounds_stream.cluster.segment_worker import Job, do_segment
from netsounds_stream.cluster.segments import Segment
from netsounds_stream.errors import ClusterError, OptionError, OutputError, Stopped
from netsounds_stream.picture.demo_picture import draw
from netsounds_stream.planning.memory import segments_disk_bytes
from netsounds_stream.run.layout import work_path
from tests.helpers.forks import LOOK_SECONDS, Command
from tests.helpers.reference import PROGRAM, ROOT, large_picture
from tests.helpers.runs import contents

pytestmark = pytest.mark.process

#: Options, and rows of a segment, of a picture of 2,300 x 170.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "sum and concat": ({"scheme": ("sum", "concat")}, 1024),
    "weighed": (
        {"balance": "filter", "top": 9, "scheme": ("sum", "concat"), "stereo": True, "banks": (1, 2)},
        256,
    ),
    "no arrays, by centroid": (
        {"scheme": "sum", "pan": "centroid", "activations": False, "banks": (1, 3)},
        512,
    ),
    "windowed, zstd": (
        {"method": "istft", "scheme": "sum", "codec": "zstd", "contrast": 1.0, "banks": (2,)},
        256,
    ),
    "notes": (
        {"method": "istft", "scheme": "sum", "scale_notes": "blues", "equal_loudness": True, "banks": (2,)},
        256,
    ),
    "bf16, no report": ({"precision": "bf16", "report": False, "mix": False, "banks": (1, 4)}, 1024),
    "a preview": ({"preview": 4, "duration": 10, "banks": (1, 2)}, 256),
}


@pytest.fixture(scope="module")
def long_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "long.png"
    pyvips.Image.new_from_array(draw(2300, 170)).pngsave(str(path))
    return path


@dataclass(frozen=True)
class Dask:
    """A scheduler's address, and the processes that keep its workers alive."""

    address: str
    nannies: tuple[int, ...]

    def at_a_sound(self, folder: Path) -> set[int]:
        """The workers that have a sound file below `folder` open."""
        workers = [child.pid for nanny in self.nannies for child in psutil.Process(nanny).children()]
        return {worker for worker in workers if _holds_a_sound(worker, folder)}


def _holds_a_sound(process: int, folder: Path) -> bool:
    for path in Path(f"/proc/{process}/fd").glob("*"):
        with contextlib.suppress(OSError):  # closed meanwhile
            if (target := Path(os.readlink(path))).suffix == ".wav" and folder in target.parents:
                return True
    return False


@pytest.fixture(scope="module")
def dask_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler with two workers of one thread, each a process, its nanny another."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    }
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--memory-limit", "0"]
    log = (folder / "log").open("wb")
    common: dict[str, Any] = {"cwd": folder, "env": environment, "stdout": log, "stderr": log}
    made = [subprocess.Popen([*dask, "--no-dashboard", "--scheduler-file", str(file)], **common)]
    for _ in range(2):
        made.append(subprocess.Popen([*worker, "--no-dashboard", "--scheduler-file", str(file)], **common))
    try:
        with Client(scheduler_file=str(file), timeout="60s") as client:
            client.wait_for_workers(2, timeout=60)
        yield Dask(json.loads(file.read_text())["address"], tuple(each.pid for each in made[1:]))
    finally:
        for each in reversed(made):
            each.kill()  # a nanny's worker ends with it, at once; asked to end, it takes its time
        for each in made:
            each.wait()
        log.close()


@pytest.fixture(scope="module")
def scheduler(dask_processes: Dask) -> str:
    """Its address."""
    return dask_processes.address


#: Of the runs that are stopped and killed.
WORDS: dict[str, Any] = {"label": "a", "banks": (1, 2), "duration": 1}
ARGUMENTS = ("--label", "a", "--banks", "1,2", "--duration", "1")


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, long_picture: Path, weights_file: Path
) -> tuple[Run, dict[str, str]]:
    """The run of `WORDS` that one machine makes, and its contents."""
    out = tmp_path_factory.mktemp("alone") / "run"
    run = sonify(long_picture, out, weights=str(weights_file), **WORDS)
    return run, contents(run.folder)


@pytest.mark.parametrize("case", CASES)
def test_the_bytes_are_those_of_one_machine(
    tmp_path: Path, long_picture: Path, weights_file: Path, scheduler: str, case: str
) -> None:
    words, rows = CASES[case]
    words = {"weights": str(weights_file), "label": "a", "duration": 3, **words}
    alone = sonify(long_picture, tmp_path / "alone", **words)
    run = sonify(long_picture, tmp_path / "shared", cluster=scheduler, segment_rows=rows, **words)
    assert contents(run.folder) == contents(alone.folder)
    assert run.record["prediction"] == alone.record["prediction"]
    about = run.record["cluster"]
    assert about["segments"] >= 2
    assert about["peak_worker_memory_bytes"] <= run.record["plan"]["peak_memory_bytes"]
    assert not list(run.folder.rglob("*.part"))


def test_workers_are_killed(tmp_path: Path, weights_file: Path, scheduler: str) -> None:
    """Five times in the middle, by SIGKILL: their segments are given to others."""
    picture = tmp_path / "a.png"
    large_picture(6_000, 150, picture)
    words = {"weights": str(weights_file), "label": "a", "banks": (1, 2), "scheme": "sum", "report": False}
    words |= {"duration": 1, "mix": False}
    alone = sonify(picture, tmp_path / "alone", **words)
    rng, killed = random.Random(3), set[int]()
    process = Command(
        *("sonify", picture, "--out", tmp_path / "run", "--weights", weights_file, "--label", "a"),
        *("--banks", "1,2", "--scheme", "sum", "--no-report", "--duration", "1", "--no-mix"),
        *("--cluster", scheduler, "--segment-rows", "256"),
    )
    temporary = work_path(tmp_path / "run") / "temporary"

    def at_a_segment() -> list[int]:
        begun = {int(path.name.split(".")[-3]) for path in temporary.glob("segment-*.part")}
        return sorted(begun - killed)  # as `do_segment` names its files

    while len(killed) < 5:
        worker = rng.choice(process.until(at_a_segment))
        process.poll(rng.uniform(0, 0.02))  # somewhere in it, or in its next
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    assert process.wait() == 0, process.stderr
    assert contents(tmp_path / "run") == contents(alone.folder)
    assert not list((tmp_path / "run").rglob("*.part"))


def test_workers_are_killed_at_the_sound(
    tmp_path: Path, long_picture: Path, weights_file: Path, dask_processes: Dask
) -> None:
    """While they fill the laid-out files: others, and those that are begun in their place, fill them anew."""
    words: dict[str, Any] = {"weights": str(weights_file), "label": "a", "banks": (1,), "mix": False}
    alone = sonify(long_picture, tmp_path / "alone", scheme=("concat", "filters"), **words)
    process = Command(
        *("sonify", long_picture, "--out", tmp_path / "run", "--weights", weights_file, "--label", "a"),
        *("--banks", "1", "--no-mix", "--scheme", "concat", "--scheme", "filters"),
        *("--cluster", dask_processes.address),
    )
    killed = set[int]()
    while len(killed) < 3:  # what one was at is left to another: there is always one more
        at_it = process.until(lambda: dask_processes.at_a_sound(work_path(tmp_path / "run")) - killed)
        killed.add(worker := at_it.pop())
        os.kill(worker, signal.SIGKILL)
    assert process.wait() == 0, process.stderr
    assert contents(tmp_path / "run") == contents(alone.folder)


def test_the_run_is_stopped_and_gone_on_with(
    tmp_path: Path,
    long_picture: Path,
    weights_file: Path,
    scheduler: str,
    alone: tuple[Run, dict[str, str]],
) -> None:
    stop, rows = Stop(), {"cluster": scheduler, "segment_rows": 256}

    def listen(progress: Progress) -> None:
        if progress.stage == "network" and progress.done > progress.total / 2:
            stop.ask()

    with pytest.raises(Stopped):
        sonify(
            long_picture,
            tmp_path / "run",
            stop=stop,
            on_progress=listen,
            checkpoint_seconds=0,
            weights=str(weights_file),
            **rows,
            **WORDS,
        )
    left = read_journal(work_path(tmp_path / "run"))
    assert left is not None
    assert 0 < left["steps"]["network"]["rows"] < 2300
    with pytest.raises(OutputError, match="--cluster"):
        resume(tmp_path / "run")
    # segments that meet where it stands would do
    others = 1536 if left["steps"]["network"]["rows"] == 1792 else 1792
    with pytest.raises(OutputError, match="--segment-rows"):
        resume(tmp_path / "run", cluster=scheduler, segment_rows=others)
    run = resume(tmp_path / "run", **rows)
    assert contents(run.folder) == alone[1]
    assert run.record["cluster"]["segments"] < 9  # those that are left


def test_the_driver_is_killed(
    tmp_path: Path,
    long_picture: Path,
    weights_file: Path,
    scheduler: str,
    alone: tuple[Run, dict[str, str]],
) -> None:
    """At random moments; what workers had finished by then is not made again."""
    rng = random.Random(5)
    command = ("sonify", long_picture, "--out", tmp_path / "run", "--weights", weights_file, *ARGUMENTS)
    command += ("--resume", "--checkpoint-seconds", "0", "--cluster", scheduler, "--segment-rows", "256")
    temporary, kills = work_path(tmp_path / "run") / "temporary", 0
    for whole in (1, 3, 6):
        process = Command(*command)
        while process.poll(LOOK_SECONDS) is None and len(list(temporary.glob("segment-*.json"))) < whole:
            pass
        process.poll(rng.uniform(0, 0.1))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    process = Command(*command)
    assert process.wait() == 0, process.stderr
    assert contents(tmp_path / "run") == alone[1]


class _Backwards(Cluster):
    """Work is done here, the last segment first, and everything twice, the first time forgotten."""

    def __init__(self, job: Job) -> None:
        self._job, self.left_bytes, self.processors = job, 0, set()

    @property
    def workers(self) -> int:
        return 1

    def as_completed(self, work: Callable[[Any], Any], items: Sequence[Any], **_: Any) -> Iterator[Any]:  # type: ignore[override]
        for number, segment in reversed(items):
            first, result = work((number, segment)), self._job.result(segment)
            before = result.stat()
            result.with_suffix(".json").unlink()
            second = work((number, segment))
            assert (first.result, first.shards) == (second.result, second.shards)
            assert result.stat().st_ino != before.st_ino  # it was made again
            self.left_bytes += before.st_size
            yield (number, segment), second


def test_every_segment_twice_and_in_another_order(
    tmp_path: Path,
    long_picture: Path,
    weights_file: Path,
    alone: tuple[Run, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs: list[Job] = []
    stand_ins: list[_Backwards] = []
    run_on = ClusterRun.run

    def backwards(run: ClusterRun, job: Job, *rest: Any) -> Any:
        jobs.append(job)
        stand_ins.append(_Backwards(job))
        return run_on(ClusterRun(cluster=stand_ins[0], segment_rows=run.segment_rows), job, *rest)

    monkeypatch.setattr(ClusterRun, "run", backwards)
    words = {**WORDS, "weights": str(weights_file)}
    run = sonify(long_picture, tmp_path / "run", cluster="local:1", segment_rows=512, **words)
    assert contents(run.folder) == alone[1]
    (job,) = jobs
    planned = segments_disk_bytes(job.plan.banks, 2300, 170, halves=1, columns=3, report=True)
    assert planned / 2 < stand_ins[0].left_bytes <= planned
    assert run.record["plan"]["disk_bytes"] >= alone[0].record["plan"]["disk_bytes"] + planned
    segment = Segment(
        number=0,
        start=0,
        stop=512,
        first=0,
        last=512,
        frames={1: (0, 256), 2: (0, 128), 3: (0, 64), 4: (0, 32)},
        positions=(0, 32),
        ends=False,
    )
    job.layout.temporary.mkdir(parents=True)
    with pytest.raises(ClusterError, match="by that name"):  # as on a machine that does not see the folder
        do_segment(job, segment)
    (job.layout.temporary / TOKEN).write_text("another")
    with pytest.raises(ClusterError, match="started again"):
        do_segment(job, segment)
    assert [path.name for path in job.layout.temporary.iterdir()] == [TOKEN]


@pytest.mark.parametrize(
    "address", ["", "localhost:8786", "local:0", "local:x", "http://a:1", "tcp://a", "tcp://a b:1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(OptionError, match="is no address"):
        check_address(address)


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "_PATIENCE", "1s")
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9"), connected("tcp://127.0.0.1:9"):
        pass


def test_an_address_in_the_clear_where_settings_want_tls() -> None:
    settings = {"distributed.comm.require-encryption": True}
    with (
        dask.config.set(settings),
        pytest.raises(ClusterError, match=r"127\.0\.0\.1:9.*encryption"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass


def test_without_dask(tmp_path: Path, long_picture: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError('none', name='distributed')")
    words = [PROGRAM, "sonify", long_picture, "--cluster", "local"]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        list(map(str, words)), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'netsounds-stream[cluster]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_workers_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    (mine / "sub").mkdir(parents=True)
    (mine / "out of it").symlink_to(tmp_path)
    require_within([tmp_path])  # none were given
    monkeypatch.setenv(VARIABLE, os.pathsep.join((str(mine), str(tmp_path / "other"))))
    require_within([mine, mine / "sub" / "not there yet", tmp_path / "other" / "a"])
    for outside in (tmp_path, tmp_path / "mine2", mine / ".." / "a", mine / "out of it" / "a"):
        with pytest.raises(ClusterError, match="outside the folders"):
            require_within([mine, outside])


def test_a_run_outside_of_the_workers_roots(
    tmp_path: Path, long_picture: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "roots"))
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    words: dict[str, Any] = {"weights": str(weights_file), "banks": (1,), "report": False, "mix": False}
    with pytest.raises(ClusterError, match="outside the folders"):
        sonify(long_picture, tmp_path / "run", cluster="local:1", segment_rows=128, **words)
    run = sonify(long_picture, tmp_path / "roots" / "run", cluster="local:1", segment_rows=512, **words)
    assert run.record["cluster"]["segments"] == 5
    assert "MKL_NUM_THREADS" not in os.environ  # Dask's, for workers alone


def test_tls(tmp_path: Path, long_picture: Path, weights_file: Path) -> None:
    """With certificates a run goes through; without them nothing answers."""
    certificate, key = _certificate(tmp_path)
    parts = {"cert": certificate, "key": key}
    roles = {(role, part): path for role in ("client", "scheduler", "worker") for part, path in parts.items()}
    keys = {f"tls_{role}_{part}": path for (role, part), path in roles.items()}
    security = Security(require_encryption=True, tls_ca_file=certificate, **keys)
    tls = "distributed.comm.tls"
    settings = {f"{tls}.{role}.{part}": path for (role, part), path in roles.items()}
    settings |= {f"{tls}.ca-file": certificate}
    words: dict[str, Any] = {"weights": str(weights_file), "banks": (1,), "report": False, "mix": False}
    with LocalCluster(
        n_workers=1, threads_per_worker=1, protocol="tls://", security=security, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        with dask.config.set(settings):
            run = sonify(long_picture, tmp_path / "run", cluster=address, segment_rows=512, **words)
        assert run.record["cluster"]["segments"] == 5
        with pytest.raises(ClusterError, match="TLS"), connected(address):
            pass


def _certificate(folder: Path) -> tuple[str, str]:
    """One for all, signed by itself."""
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=netsounds",
    ]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
