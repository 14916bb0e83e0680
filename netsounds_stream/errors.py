"""Errors that a user can fix. Each message is one line: what is wrong, and how to put it right.

Any other exception from this package is either a defect in it (`AssertionError` and the like) or an error of
the operating system (`OSError`), which the command line explains.
"""

import errno
from pathlib import Path


class NetsoundsError(Exception):
    """Base of all errors that a user can fix.

    Attributes:
        exit_status: exit status of the command that raises it.

    Example:
        >>> from netsounds_stream import NetsoundsError, plan
        >>> try:
        ...     plan("nowhere.png", weights="untrained")
        ... except NetsoundsError as error:
        ...     print(error, error.exit_status)
        no picture at nowhere.png; check the name 1
    """

    exit_status = 1


class OptionError(NetsoundsError, ValueError):
    """An option has a value that cannot be used, or options cannot be used together."""

    exit_status = 2


class PictureError(NetsoundsError):
    """A picture cannot be found, read or used."""


class WeightsError(NetsoundsError):
    """The weights cannot be read or downloaded, or are not the network's."""


class WeightsUnavailableError(WeightsError):
    """The pretrained weights cannot be downloaded."""


class NetworkError(NetsoundsError):
    """A network cannot be found, or cannot be streamed."""


class BudgetError(NetsoundsError):
    """The memory budget or the free disk space is too small for a run; raised before a pixel is decoded."""


class RangeError(NetsoundsError):
    """An activation lies outside the range of float16."""


class StoreError(NetsoundsError):
    """Stored activations, or a run's other files, cannot be read."""


class OutputError(NetsoundsError):
    """The output cannot be written, or would overwrite something."""


class UnfinishedError(OutputError):
    """The output folder holds a stopped run, which a new run would overwrite."""


class ChangedError(OutputError):
    """A run was made from another picture or with other options."""


class DamagedError(NetsoundsError):
    """Files of a finished run are damaged or missing."""


class Stopped(NetsoundsError):
    """A run stopped because it was asked to; the finished part is kept, to resume from.

    Example:
        >>> from netsounds_stream import Stopped
        >>> Stopped.exit_status  # as of a command that Ctrl-C ends
        130
    """

    exit_status = 130


class ClusterError(NetsoundsError):
    """The cluster cannot be reached, or cannot do the work."""


class WorkerError(NetsoundsError):
    """A worker process ended while it worked on a picture."""


class SomeFailedError(NetsoundsError):
    """Some pictures of a batch failed; the runs of the others are complete."""

    exit_status = 3


class RemoteError(NetsoundsError):
    """An object store or a web server refuses a request, or does not answer after several attempts."""


# The system's limits and failures -> how to go on.
_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota of the disk",
    errno.EMFILE: "too few open files are allowed to a process, raise that limit (ulimit -n 1024)",
    errno.ENFILE: "too many files are open on this machine, end other programs",
    errno.EAGAIN: "too few processes and threads are allowed, raise that limit (ulimit -u) or end others",
    errno.ENOMEM: "the system gives no more memory, raise its limit (ulimit -v) or end other programs",
    errno.EFBIG: "no larger file is allowed here, raise that limit (ulimit -f) or choose another disk",
    errno.EROFS: "the file system is read-only, choose another --out",
    errno.EACCES: "change its permissions with chmod, or choose another place",
    errno.EPERM: "change its permissions with chmod, or choose another place",
    errno.EIO: "the disk, or the connection to it, fails: check it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EPIPE: "a process or connection that the work needs has ended, try again",
    errno.ECONNRESET: "a process or connection that the work needs has ended, try again",
}
_NO_TEMPORARY = "no usable temporary"
# Words of errors that Python and torch raise as RuntimeError where the system refuses.
_NO_THREAD = ("start new thread", "creating thread", "resource temporarily unavailable")
_NO_MEMORY = (
    "allocate memory", "not enough memory", "out of memory", "bad_alloc", "memory allocation",
    "failed to map", "could not create a primitive",
)  # fmt: skip


def remedy_for(error: object) -> str:
    """Return how to go on after an error of the operating system, in a few words."""
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        return _REMEDIES[error.errno]
    if _NO_TEMPORARY in str(error).lower():
        return "set TMPDIR to a folder that can be written"
    if isinstance(error, MemoryError):
        return _REMEDIES[errno.ENOMEM]
    return limit_met(str(error)) or "check that the folder exists and is writable"


def limit_met(text: str) -> str | None:
    """Return the remedy where a library's words mean a limit of the system; None where they do not."""
    words = text.lower()
    if any(each in words for each in _NO_THREAD):
        return _REMEDIES[errno.EAGAIN]
    if any(each in words for each in _NO_MEMORY):
        return _REMEDIES[errno.ENOMEM]
    return None


def of_system(error: BaseException | None) -> BaseException | None:
    """Return the error by which the system refused something, this one or its cause; None for a defect."""
    while error is not None:
        if isinstance(error, OSError | MemoryError) or limit_met(str(error)) is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def first_line(error: BaseException) -> str:
    """Return an error's text, without the lines of places in a program that libraries add."""
    return next(iter(str(error).splitlines()), "").strip()


def cannot_write(path: Path, reason: object) -> OutputError:
    """Return the error for a file that cannot be written.

    Args:
        path: the file.
        reason: the operating system's error, or a few words.

    Returns:
        The error, for the caller to raise.
    """
    return OutputError(f"cannot write {path} ({reason}); {remedy_to_write(reason)}")


def remedy_to_write(reason: object) -> str:
    """Return how to go on where a file cannot be written, most often because the disk is full."""
    if isinstance(reason, OSError) and reason.errno in _REMEDIES:
        return _REMEDIES[reason.errno]
    return "make room on the disk, or make it writable"
