"""Whether a run can be computed on a cluster, as it is asked for."""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url, redacted
from ..errors import OptionError
from ..picture.in_memory import PictureInput
from .dask_cluster import check_address, is_local
from .segments import USUAL_ROWS


def check_shared_work(cluster: str | None, out: str | Path, work: Path | None) -> None:
    """Raise OptionError where workers on other machines would not see what a run to a URL is worked in."""
    if cluster is not None and not is_local(cluster) and is_url(out) and work is None:
        raise OptionError(
            f"--cluster {cluster} with a run to {redacted(str(out))} needs --work; name a folder that all "
            f"workers see by that name"
        )


def check_seen_by_workers(cluster: str | None, image: PictureInput) -> None:
    """Raise OptionError where a cluster's workers would have to see a picture that is in memory here."""
    if cluster is not None and not isinstance(image, str | Path):
        raise OptionError(
            "the workers of a cluster cannot see a picture that is in memory; save it to a file that all of "
            "them see, or leave out cluster"
        )


def check_shared(device: str, cluster: str | None, segment_rows: int | None) -> tuple[str | None, int]:
    """A cluster's address and the rows of a segment.

    Raises:
        OptionError: they are none, or not for that device.
    """
    if cluster is None:
        if segment_rows is not None:
            raise OptionError("--segment-rows needs --cluster; give both or neither")
        return None, USUAL_ROWS
    if device not in ("auto", "cpu"):
        raise OptionError(f"--cluster computes on CPUs only; leave --device {device} out")
    if segment_rows is not None and segment_rows < 1:
        raise OptionError(f"--segment-rows {segment_rows} is not a number of rows; give 1 or more")
    return check_address(cluster), segment_rows or USUAL_ROWS
