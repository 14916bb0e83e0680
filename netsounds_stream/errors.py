"""The errors a user can mend. Each text is one line: what is wrong, and how to put it right.

Anything else that is raised from this package is a defect of ours (`assert`) or an operating system's
error that the command line words (`OSError`).
"""

from pathlib import Path


class NetsoundsError(Exception):
    """Base of all errors here. `exit_status` is the command line's exit status."""

    exit_status = 1


class OptionError(NetsoundsError, ValueError):
    """An option has a value that cannot be used, or options cannot be used together."""

    exit_status = 2


class PictureError(NetsoundsError):
    """The picture cannot be found, read or used."""


class WeightsError(NetsoundsError):
    """The weights cannot be read or downloaded, or are not SqueezeNet 1.0's."""


class WeightsUnavailableError(WeightsError):
    """The pretrained weights cannot be downloaded."""


class BudgetError(NetsoundsError):
    """The memory budget or the disk cannot hold the run; raised before a pixel is decoded."""


class RangeError(NetsoundsError):
    """An activation is beyond float16's range."""


class StoreError(NetsoundsError):
    """Stored activations, or a run's other files, cannot be read."""


class OutputError(NetsoundsError):
    """The output cannot be written, or would overwrite something."""


class UnfinishedError(OutputError):
    """A stopped run is where a new one was to start."""


class ChangedError(OutputError):
    """A run was made from another picture or with other options."""


class DamagedError(NetsoundsError):
    """Files of a finished run are damaged or missing."""


class Stopped(NetsoundsError):
    """The run was asked to stop; what is finished is kept."""

    exit_status = 130


class ClusterError(NetsoundsError):
    """The cluster cannot be reached or cannot do the work."""


class WorkerError(NetsoundsError):
    """A process ended while it worked on a picture."""


class SomeFailedError(NetsoundsError):
    """Some pictures of a batch failed; the runs of the others are complete."""

    exit_status = 3


class RemoteError(NetsoundsError):
    """An object store or a picture's server refuses a request, or does not answer repeated ones."""


def cannot_write(path: Path, reason: object) -> OutputError:
    """Return the error of a file that cannot be written: a full disk, for the most part.

    Args:
        path: the file.
        reason: the operating system's error, or a few words.
    """
    return OutputError(f"cannot write {path} ({reason}); make room on the disk, or make it writable")
