"""What this machine has: memory now, memory free, disk free. And how its C library is to use the heap."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from .units import format_bytes

_GIB = 1 << 30
_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1  # malloc.h
_CGROUP = Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """This process's resident memory now."""
    return int(psutil.Process().memory_info().rss)


def all_resident_bytes() -> int:
    """This process's and those of all that it began."""
    total = resident_bytes()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            total += int(child.memory_info().rss)
    return total


def cores() -> int:
    """How many cores this process may use: as many as `OMP_NUM_THREADS` says, where it does."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_resident_bytes() -> int:
    """This process's largest resident memory so far.

    On Linux from VmHWM: `ru_maxrss` also counts what the parent held when it forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Let `peak_resident_bytes` begin again at what is resident now: a run's peak is not an earlier one's.

    On Linux only; elsewhere it stays the peak of all that the process has done.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def seconds_since_start() -> float:
    """Since this process began."""
    return time.time() - psutil.Process().create_time()


def available_bytes() -> int:
    """Memory that can be taken without swapping: the system's, or the container's where that is less."""
    available = int(psutil.virtual_memory().available)
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        held = int(used.read_text()) - _reclaimable_bytes()
        available = min(available, max(0, int(text) - held))
    return available


def _reclaimable_bytes() -> int:
    """The container's file pages that the kernel drops when memory is wanted."""
    for line in (_CGROUP / "memory.stat").read_text().splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def default_budget_bytes() -> int:
    """1 GiB for the whole process, less where less is free beyond what it already holds."""
    return min(_GIB, resident_bytes() + int(0.9 * available_bytes()))


def free_disk_bytes(folder: Path) -> int:
    """Free bytes for this user on the disk that will hold `folder`, which need not exist yet."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return int(psutil.disk_usage(str(existing)).free)


def tune_heap() -> None:
    """Have glibc serve all threads from one heap, and keep what it frees for the next band.

    By itself it gives each thread a heap, so that what the codec's and libvips' threads free is lost to
    the rest (some 50 MiB more at the peak, at 12 megapixels), and hands the top of the heap back between
    bands, whose pages the system must then clear again (a tenth of the network's time).
    """
    tune = _glibc("mallopt")
    if tune is not None:
        tune(_M_ARENA_MAX, 1)
        tune(_M_MMAP_THRESHOLD, 32 << 20)
        tune(_M_TRIM_THRESHOLD, 256 << 20)


def trim_heap() -> None:
    """Give freed heap pages back to the system, so that one stage's peak is not another's floor (glibc)."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


class MemoryPressure:
    """Whether this process's memory passes what was planned for it, for who can do with less.

    Blocks of many sizes, freed by several threads, leave gaps in the heap, which grow over thousands of
    bands. Past `trim_bytes` they are given back, and no sooner: their pages must be cleared again when they
    are used again. Where the peak passes `most_bytes` all the same, a call says so, once for each new peak:
    what is resident between two bands does not tell what they take at once.
    """

    def __init__(self, trim_bytes: int, most_bytes: int) -> None:
        self._trim_bytes, self._lock = trim_bytes, threading.Lock()
        self._most_bytes = max(most_bytes, peak_resident_bytes())  # what was before is not this stage's

    def __call__(self) -> bool:
        if resident_bytes() > self._trim_bytes:
            trim_heap()
        peak = peak_resident_bytes()
        with self._lock:  # of several workers one says so
            if peak <= self._most_bytes:
                return False
            self._most_bytes = peak
        return True


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def describe() -> dict[str, str | int]:
    """The machine in a few words, for a run's record."""
    processor = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        named = [line for line in listing.read_text().splitlines() if line.startswith("model name")]
        processor = named[0].split(":", 1)[1].strip() if named else processor
    return {
        "processor": processor,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory": format_bytes(psutil.virtual_memory().total),
    }
