"""`render`: sound again, from a finished run or from stored activations, without the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

from ..base.progress import Listener
from ..errors import OptionError
from ..planning.keywords import RenderKeywords
from ..planning.plan import AudioPlan
from ..run.record_file import is_run
from .arrays import render_array
from .runs import render_run


def render(
    source: str | Path,
    out: str | Path,
    *,
    scheme: Literal["sum", "concat"] | None = None,
    time_axis: Literal["x", "y"] | None = None,
    banks: Sequence[int] | str | None = None,
    path: str | None = None,
    path_width: float | None = None,
    region: str | None = None,
    stems: bool = False,
    overwrite: bool = False,
    on_progress: Listener | None = None,
    **words: Unpack[RenderKeywords],
) -> AudioPlan:
    """Make a sound file again, without the network.

    Of a run its mix is made again, from the sums that it keeps, with the run's options but for those that
    are given. Of stored activations the filters' sum, or all filters one after another, are made.

    Args:
        source: a finished run's folder; or activations: the folder of a `.zarr` array, or a `.npy` file.
        out: the sound file. Its suffix says the format, unless `format` does.
        scheme: of activations: 'sum' (all filters added, the default) or 'concat' (one after another).
        time_axis: of activations: 'x' or 'y'. None: what the array's attributes say, else its long edge.
        banks: of a run: numbers of the banks in the mix; None: all that it has.
        path: of a run: the path that sound takes across the picture: 'x', 'y', 'radar', 'spiral', 'spiral:N',
            'line:x0,y0,x1,y1', or an SVG file. None: along the run's time axis.
        path_width: width of the band that a line or a curve passes over, in pixels. None: the whole picture
            for a line, a quarter of its short edge for a curve.
        region: of a run: the part of the picture that is heard, 'left,top,width,height' in pixels. None: all.
        stems: of a run: write each bank's part of the mix beside it, as OUT-stem-N.
        overwrite: replace a file that exists at `out`.
        on_progress: called as the work goes on, from any thread.
        words: options of the sound by keyword; see `RenderKeywords`.

    Returns:
        The plan of the file: samples, channels, container.

    Raises:
        OptionError: an option or its value is unknown, or has no meaning for the source.
        StoreError: the array cannot be read, or the run keeps no sums.
        OutputError: `out` exists, or cannot be written; an existing file is kept.

    Example:
        >>> from netsounds_stream import open_run, render
        >>> render("landscape-netsounds", "radar.flac", path="radar", duration=2.0).samples
        88200
        >>> array = next(path for path in open_run("landscape-netsounds").files if path.suffix == ".zarr")
        >>> render(array, "filter.flac", method="istft", filters=(3,), duration=0.5).samples
        22050
    """
    of_runs = {
        "banks": banks,
        "path": path,
        "path_width": path_width,
        "region": region,
        "stems": stems or None,
    }
    if is_run(Path(source)):
        if time_axis is not None:
            raise OptionError("time axis is for an array; a run's sound takes a path: x or y")
        if scheme is not None:
            words = {**words, "scheme": scheme}  # type: ignore[typeddict-unknown-key]
        return render_run(
            Path(source),
            Path(out),
            banks=banks,
            path=path,
            path_width=path_width,
            region=region,
            stems=stems,
            overwrite=overwrite,
            on_progress=on_progress,
            words=words,
        )
    for name, value in of_runs.items():
        if value is not None:
            raise OptionError(f"{name.replace('_', ' ')} is for a run; {source} holds none")
    return render_array(
        Path(source),
        Path(out),
        scheme=scheme or "sum",
        time_axis=time_axis,
        overwrite=overwrite,
        on_progress=on_progress,
        words=words,
    )
