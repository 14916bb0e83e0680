"""Checks of a run's options that concern a cluster, before any work starts."""

from __future__ import annotations

from pathlib import Path

from ..base.locations import is_url, redacted
from ..errors import OptionError
from ..picture.in_memory import PictureInput
from ..planning.how_to_run import HowToRun
from .dask_cluster import check_address, is_local


def check_cluster(how: HowToRun, device: str, out: str | Path) -> None:
    """Check the options of a run on a cluster; a run without one passes.

    Args:
        how: how the run is carried out.
        device: where its network is computed: 'auto', 'cpu' or another.
        out: folder or URL of the run.

    Raises:
        OptionError: the cluster's address or the number of a segment's rows is invalid, the device is not
            the CPU, or workers on other machines would not see the work folder of a run to a URL.
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
    """Check that a cluster's workers can read the picture.

    Args:
        how: how the run is carried out.
        image: the picture.

    Raises:
        OptionError: the picture is in this process's memory.
    """
    if how.cluster is not None and not isinstance(image, str | Path):
        raise OptionError(
            "the workers of a cluster cannot see a picture that is in memory; save it to a file that all of "
            "them see, or leave out cluster"
        )
