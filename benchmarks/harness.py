"""How every question measures: each case in a fresh process, all cases in turn, round after round.

A case is a command that prints a JSON object, its report, as the last thing on stdout. What any process can
be asked from outside (wall seconds, CPU seconds, bytes written, how it ended) is measured here; what only
it knows (seconds of the work itself, its peak memory, its error) stands in the report:

    seconds             of the work: a number, or seconds by stage
    peak_memory_bytes   the process's own VmHWM; ru_maxrss would count its parent's memory at the fork
    cuda_peak_bytes     where a GPU worked
    error               largest difference from the reference, relative to the bank's largest value

Nothing here imports torch, and nothing knows what is measured.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

#: In a case's words: a fresh path for its output, counted and deleted after the run.
OUT = "{out}"


@dataclass(frozen=True)
class Case:
    """One command to measure.

    Args:
        name: how tables call it; unique within a question.
        words: the command line; `OUT` within a word stands for a fresh path.
        facts: what a table says of it (pixels, dtype, ...), JSON-ready; Mpx/s follows from `pixels`.
        environment: variables set for it beside the present ones.
        memory_limit_bytes: its address space (RLIMIT_AS), so that a peer that wants too much fails by
            itself and leaves the machine alone. None: unlimited.
        reports: whether it prints a report; if not, it is only seen from outside.
        check: a command run on the first round's output, outside all measures; it reports an `error`.
    """

    name: str
    words: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    reports: bool = True
    check: tuple[str, ...] = ()


@dataclass(frozen=True)
class Once:
    """One process from start to end; `failure` says how it ended where it did not end well.

    `checked` is the report of the case's check: empty where there is none, or where it could not be made.
    """

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    bytes_written: int
    report: Mapping[str, Any]
    failure: str | None
    checked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """All rounds of a case. A case that failed is not run again: its failure is the result."""

    case: Case
    rounds: tuple[Once, ...]

    @property
    def failure(self) -> str | None:
        return next((each.failure for each in self.rounds if each.failure), None)

    @property
    def report(self) -> Mapping[str, Any]:
        """What the last good round reported; empty where there was none."""
        return next((each.report for each in reversed(self.rounds) if each.failure is None), {})

    def as_json(self, *details: str) -> dict[str, Any]:
        """JSON-ready: the case, seconds of all rounds and their medians, these `details` of the report."""
        good = [each for each in self.rounds if each.failure is None]
        seconds = [work_seconds(each.report) for each in good]
        work = [each for each in seconds if each is not None]
        base = work or [each.wall_seconds for each in good]
        pixels = self.case.facts.get("pixels")
        rate = pixels / statistics.median(base) / 1e6 if base and pixels else None
        return {
            **asdict(self.case),
            "words": [_public(word) for word in self.case.words],
            "environment": {name: _public(value) for name, value in self.case.environment.items()},
            "check": [_public(word) for word in self.case.check],
            "failure": self.failure,
            "wall_seconds": _spread([each.wall_seconds for each in good]),
            "work_seconds": _spread(work),
            "cpu_seconds": _spread([each.user_seconds + each.system_seconds for each in good]),
            "system_seconds": _spread([each.system_seconds for each in good]),
            "megapixels_per_second": rate,
            "peak_memory_bytes": _largest(good, "peak_memory_bytes"),
            "cuda_peak_bytes": _largest(good, "cuda_peak_bytes"),
            "error": _largest(good, "error"),
            "checked": next((dict(each.checked) for each in good if each.checked), None),
            "bytes_written": max((each.bytes_written for each in good), default=None),
            **{name: self.report.get(name) for name in details if self.report},
        }


def measure(cases: Sequence[Case], rounds: int) -> list[Measured]:
    """Every case `rounds` times, each in a fresh process; a machine's slow minute meets all of them alike.

    Each round begins one case later than the one before, so that none always follows the same other.
    """
    done: dict[str, list[Once]] = {case.name: [] for case in cases}
    assert len(done) == len(cases), "names of cases are unique"
    for number in range(rounds if cases else 0):
        shift = number % len(cases)
        for case in (*cases[shift:], *cases[:shift]):
            if any(each.failure for each in done[case.name]):
                continue
            once = run_once(case, check=number == 0)
            done[case.name].append(once)
            told = once.failure or f"{once.wall_seconds:.2f} s"
            print(f"round {number + 1}/{rounds}  {case.name}: {told}", file=sys.stderr, flush=True)
    return [Measured(case, tuple(done[case.name])) for case in cases]


def run_once(case: Case, *, check: bool = False) -> Once:
    """One fresh process of this case, waited for; then its check, if wanted."""
    with (
        tempfile.TemporaryDirectory(prefix="netsounds-") as folder,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        out = Path(folder) / "out"
        words = [word.replace(OUT, str(out)) for word in case.words]
        limit = partial(_limit_memory, case.memory_limit_bytes) if case.memory_limit_bytes else None
        started = time.perf_counter()
        process = subprocess.Popen(
            words, stdout=stdout, stderr=stderr, env={**os.environ, **case.environment}, preexec_fn=limit
        )
        # wait4, for the usage of this child alone; RUSAGE_CHILDREN adds up all that ever ran
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
        report = read_report(texts[0]) if case.reports else {}
        failure = _failure(process.returncode, texts[1], report)
        checked: dict[str, Any] | None = {}
        if check and case.check and failure is None:
            words = [word.replace(OUT, str(out)) for word in case.check]
            checked = read_report(
                subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout
            )
        return Once(
            wall_seconds=wall,
            user_seconds=usage.ru_utime,
            system_seconds=usage.ru_stime,
            bytes_written=bytes_below(out),
            report=report or {},
            failure=failure,
            checked=checked or {},
        )


def read_report(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, or that its last line is; None if neither."""
    lines = text.strip().splitlines()
    for candidate in (text, lines[-1] if lines else ""):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return None


def work_seconds(report: Mapping[str, Any]) -> float | None:
    """Seconds of the work itself, as reported in one number or by stage."""
    seconds = report.get("seconds")
    return sum(seconds.values()) if isinstance(seconds, Mapping) else seconds


def bytes_below(path: Path) -> int:
    """Lengths of the files at or below `path`, which need not exist."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def _public(word: str) -> str:
    """A word of a command as a result names it: no one's folders, only files' names."""
    if word == sys.executable:
        return "python"
    return Path(word).name if word.startswith("/") and word != OUT else word


def _limit_memory(limit_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _failure(status: int, stderr: str, report: Mapping[str, Any] | None) -> str | None:
    last = (stderr.strip().splitlines() or ["nothing on stderr"])[-1][:300]
    last = re.sub(r"(/[^\s/:'\"]+)+/", "", last)  # no one's folders
    if status < 0:
        return f"killed by signal {-status}: {last}"
    if status > 0:
        return f"exit status {status}: {last}"
    return "printed no report" if report is None else None


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "rounds": list(values),
    }


def _largest(rounds: Sequence[Once], name: str) -> Any:
    return max((each.report[name] for each in rounds if each.report.get(name) is not None), default=None)
