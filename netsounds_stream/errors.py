"""Errors that a user can fix. Each message is one line: what is wrong, and how to put it right.

Any other exception from this package is either a defect in it (`AssertionError` and the like) or an error of
the operating system (`OSError`), which the command line explains.
"""

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
    """The weights cannot be read or downloaded, or are not SqueezeNet 1.0's."""


class WeightsUnavailableError(WeightsError):
    """The pretrained weights cannot be downloaded."""


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


def cannot_write(path: Path, reason: object) -> OutputError:
    """Return the error for a file that cannot be written, most often because the disk is full.

    Args:
        path: the file.
        reason: the operating system's error, or a few words.

    Returns:
        The error, for the caller to raise.
    """
    return OutputError(f"cannot write {path} ({reason}); make room on the disk, or make it writable")
