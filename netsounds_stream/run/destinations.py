"""Where a run goes and where its picture comes from: paths, URLs, or memory. What only URLs need is imported
for them.
"""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url, redacted, work_folder
from ..clusters import is_local
from ..errors import OptionError
from ..picture.in_memory import PictureInput
from .folder import RunFolder
from .result import Run, as_run


def run_folder(out: str | Path, work: Path | None, *, overwrite: bool) -> RunFolder:
    if not is_url(out):
        return RunFolder(Path(out), overwrite=overwrite)
    from .remote_folder import RemoteFolder  # what local runs do not need

    return RemoteFolder(str(out), work, overwrite=overwrite)


def worked_in(out: str | Path, work: Path | None) -> Path:
    """Return the folder that a run to `out` is worked in, or one on the same disk."""
    if not is_url(out):
        return Path(out)
    return work_folder(str(out), work)


def check_shared_work(cluster: str | None, out: str | Path, work: Path | None) -> None:
    """Raise OptionError where workers on other machines would not see what a run to a URL is worked in."""
    if cluster is not None and not is_local(cluster) and is_url(out) and work is None:
        raise OptionError(
            f"--cluster {cluster} with a run to {redacted(str(out))} needs --work; name a folder that all "
            f"workers see by that name"
        )


def finished_elsewhere(url: str, work: Path | None) -> Run:
    """Return the finished run at a URL; where only its record was missing, that is put there first."""
    from .remote_folder import RemoteFolder

    at = RemoteFolder(url, work, overwrite=False)
    with at:
        return as_run(at.given, at.finished())


def check_seen_by_workers(cluster: str | None, image: PictureInput) -> None:
    """Raise OptionError where a cluster's workers would have to see a picture that is in memory here."""
    if cluster is not None and not isinstance(image, str | Path):
        raise OptionError(
            "the workers of a cluster cannot see a picture that is in memory; save it to a file that all of "
            "them see, or leave out cluster"
        )
