"""Where a run goes and where its picture comes from: paths, URLs, or memory. What only URLs need is imported
for them.
"""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url, work_folder
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


def finished_elsewhere(url: str, work: Path | None) -> Run:
    """Return the finished run at a URL; where only its record was missing, that is put there first."""
    from .remote_folder import RemoteFolder

    at = RemoteFolder(url, work, overwrite=False)
    with at:
        return as_run(at.given, at.finished())
