"""The machine: its cores, memory and disk space, and how the C library uses the heap."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .units import format_bytes

_GIB = 1 << 30
# Parameters of mallopt, from malloc.h.
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_CGROUP = Path("/sys/fs/cgroup")
_SAFE_PATH = "PYTHONSAFEPATH"  # keeps Python from looking for modules in the current folder first


def resident_bytes() -> int:
    """Return this process's resident memory."""
    return int(psutil.Process().memory_info().rss)


def all_resident_bytes() -> int:
    """Return the resident memory of this process and all its descendants."""
    total = resident_bytes()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # the child has just ended
            total += int(child.memory_info().rss)
    return total


def cores() -> int:
    """Return the number of cores that this process may use; `OMP_NUM_THREADS` overrides the system's."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal() and int(limit):
        return int(limit)
    return _system_cores()


def _system_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_resident_bytes() -> int:
    """Return this process's largest resident memory so far.

    On Linux it is VmHWM, for `ru_maxrss` includes memory that the parent held when it forked.
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
    """Reset `peak_resident_bytes` to the present size, so that a run does not report an earlier run's peak.

    This works on Linux only; elsewhere the peak remains that of the process's whole life.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def seconds_since_start() -> float:
    """Return the seconds since this process started."""
    return time.time() - psutil.Process().create_time()


def available_bytes() -> int:
    """Measure the memory that can be allocated without swapping.

    Returns:
        Bytes: what the system has available, or what the container may still allocate if that is less.
    """
    available = int(psutil.virtual_memory().available)
    limit = _CGROUP / "memory.max"
    used = _CGROUP / "memory.current"
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        held = int(used.read_text()) - _reclaimable_bytes()
        available = min(available, max(0, int(text) - held))
    return available


def _reclaimable_bytes() -> int:
    """Return the size of the container's cached file pages, which the kernel drops when memory runs short."""
    for line in (_CGROUP / "memory.stat").read_text().splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def usual_budget_bytes(device: str) -> int:
    """Return the memory budget of a process where enough is free.

    Args:
        device: where the network runs. On 'cuda' the budget is twice as large: CUDA's context and libraries
            alone hold some 900 MiB of the host's memory.
    """
    return 2 * _GIB if device == "cuda" else _GIB


def default_budget_bytes(device: str = "cpu") -> int:
    """Choose a memory budget for the whole process.

    Args:
        device: where the network runs.

    Returns:
        `usual_budget_bytes`, or what the process holds already and nine tenths of the available memory if
        that is less.
    """
    return min(usual_budget_bytes(device), resident_bytes() + int(0.9 * available_bytes()))


def free_disk_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of `folder`, which need not exist yet."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return int(psutil.disk_usage(str(existing)).free)


def tune_heap() -> None:
    """Make glibc serve all threads from one heap and keep freed memory for the next band.

    By default each thread has a heap, so that memory freed by the codec's and libvips' threads is of no use
    to the others (some 50 MiB more at the peak, at 12 megapixels). The top of the heap also returns to the
    system between bands, which must then clear its pages again (a tenth of the network's time).
    """
    tune = _glibc("mallopt")
    if tune is not None:
        tune(_M_ARENA_MAX, 1)
        tune(_M_MMAP_THRESHOLD, 32 << 20)
        tune(_M_TRIM_THRESHOLD, 256 << 20)


def trim_heap() -> None:
    """Return freed heap pages to the system, so that a stage starts below the last one's peak (glibc)."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


class MemoryPressure:
    """Reports when this process's memory exceeds the plan, so that a pipeline can lower its concurrency.

    Blocks of many sizes, freed by several threads, leave gaps in the heap, which grow over thousands of
    bands. They are returned to the system only past `trim_bytes`, for their pages must be cleared before they
    are used again. Each new peak above `most_bytes` is reported once. The peak is compared, not the present
    size: between two bands little is resident.

    Args:
        trim_bytes: resident memory above which freed pages are returned to the system.
        most_bytes: the largest planned peak.
    """

    def __init__(self, trim_bytes: int, most_bytes: int) -> None:
        self._trim_bytes = trim_bytes
        self._most_bytes = max(most_bytes, peak_resident_bytes())  # an earlier stage's peak does not count
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        """Return True if a new peak exceeds the plan; may be called from several threads."""
        if resident_bytes() > self._trim_bytes:
            trim_heap()
        peak = peak_resident_bytes()
        with self._lock:  # so that only one of several workers reports a peak
            if peak <= self._most_bytes:
                return False
            self._most_bytes = peak
        return True


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def describe() -> dict[str, str | int]:
    """Describe the machine for a run's record.

    Returns:
        `processor`, `system`, `cpus` and `memory`.
    """
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = models[0].split(":", 1)[1].strip() if models else processor
    return {
        "processor": processor,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": _system_cores(),
        "memory": format_bytes(psutil.virtual_memory().total),
    }


@contextmanager
def importing() -> Iterator[None]:
    """Import in the `with` block without garbage collections, which then pass over what was imported.

    Torch and the rest make a few hundred thousand objects that live as long as the process. To go through
    them, while they are made and at the end, takes a third of a second.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextmanager
def safe_imports() -> Iterator[None]:
    """Keep Python processes that are begun in the `with` block from importing from the current folder.

    `python -c`, by which multiprocessing begins processes, looks there first: a file `pickle.py` of a
    stranger's would be run, and a harmless `signal.py` break them.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
