"""Whether a run can be computed on a cluster, as it is asked for."""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url, redacted
from ..errors import OptionError
from ..picture.in_memory import PictureInput
from ..planning.how_to_run import HowToRun
from .dask_cluster import check_address, is_local


def check_cluster(how: HowToRun, device: str, out: str | Path) -> None:
    """Check how a run is to be carried out on a cluster, if it is.

    Args:
        how: how it is carried out.
        device: where its network is computed.
        out: where it will lie.

    Raises:
        OptionError: the cluster's address or the rows of a segment are none, or not for that device; or
            workers on other machines would not see the folder that a run to a URL is worked on in.
    """
    if how.cluster is None:
        if how.segment_rows is not None:
            raise OptionError("--segment-rows needs --cluster; give both or neither")
        return
    if device not in ("auto", "cpu"):
        raise OptionError(f"--cluster computes on CPUs only; leave --device {device} out")
    if how.segment_rows is not None and how.segment_rows < 1:
        raise OptionError(f"--segment-rows {how.segment_rows} is not a number of rows; give 1 or more")
    check_address(how.cluster)
    if not is_local(how.cluster) and is_url(out) and how.work is None:
        raise OptionError(
            f"--cluster {how.cluster} with a run to {redacted(str(out))} needs --work; name a folder that "
            f"all workers see by that name"
        )


def check_seen_by_workers(how: HowToRun, image: PictureInput) -> None:
    """Raise OptionError where a cluster's workers would have to see a picture that is in memory here."""
    if how.cluster is not None and not isinstance(image, str | Path):
        raise OptionError(
            "the workers of a cluster cannot see a picture that is in memory; save it to a file that all of "
            "them see, or leave out cluster"
        )
