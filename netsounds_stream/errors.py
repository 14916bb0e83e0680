"""The errors a user can mend. Each text is one line: what is wrong, and how to put it right.

Anything else that is raised from this package is a defect of ours (`assert`) or an operating system's
error that the command line words (`OSError`).
"""


class NetsoundsError(Exception):
    """Base of every error here. `exit_status` is what the command line ends with."""

    exit_status = 1


class OptionError(NetsoundsError, ValueError):
    """An option's value, or a combination of options, that cannot be used."""

    exit_status = 2


class PictureError(NetsoundsError):
    """The picture cannot be found, read or used."""


class WeightsError(NetsoundsError):
    """The network's weights cannot be had, or are not SqueezeNet 1.0's."""


class WeightsUnavailableError(WeightsError):
    """The pretrained weights cannot be downloaded."""


class BudgetError(NetsoundsError):
    """The memory budget or the disk cannot hold the run; raised before a pixel is decoded."""


class RangeError(NetsoundsError):
    """An activation left float16's range."""


class StoreError(NetsoundsError):
    """Stored activations that cannot be read as such."""


class OutputError(NetsoundsError):
    """The output folder or file cannot be written or would overwrite something."""


class UnfinishedError(OutputError):
    """A stopped run is where a new one was to begin."""


class ChangedError(OutputError):
    """What lies there is a run of something else: of other options, of a picture that has changed."""


class DamagedError(NetsoundsError):
    """A finished run is not as it was written."""


class Stopped(NetsoundsError):
    """The run was asked to stop; what is finished is kept."""

    exit_status = 130


class ClusterError(NetsoundsError):
    """The cluster cannot be reached, or could not do the work."""


class WorkerError(NetsoundsError):
    """A process that worked on a picture ended in its midst."""


class SomeFailedError(NetsoundsError):
    """Some pictures of a batch failed; the others are as they should be."""

    exit_status = 3


class RemoteError(NetsoundsError):
    """An object store, or a picture's server, refuses, or gives no answer however often it is asked."""
