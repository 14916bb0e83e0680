"""The demonstration: the main job on a drawn picture, with whatever weights can be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyvips

from ..api import sonify
from ..base.journal import read_journal
from ..base.locations import default_folder
from ..base.progress import Listener
from ..errors import OutputError, WeightsUnavailableError
from ..network.weights import PRETRAINED, UNTRAINED, load_weights
from ..picture.demo_picture import draw
from ..planning.plan import Plan
from ..run.layout import RECORD_NAME, work_path
from ..run.record_file import read_record
from ..run.result import Run

WIDTH, HEIGHT = 1536, 1024


def demonstrate(
    image: Path | None,
    out: Path,
    *,
    weights: str | None,
    on_plan: Callable[[Plan], None],
    on_progress: Listener,
    on_note: Callable[[str], None],
) -> Run:
    """Sonify `image`, or a picture drawn into `out`; the run is `out`/NAME-netsounds, made anew each time.

    Where no `weights` are asked for and the pretrained ones cannot be downloaded, untrained ones take their
    place: said to `on_note`, in the label and in the run's record.
    """
    run = out / default_folder(Path("landscape") if image is None else image)
    if image is None:
        image = out / "netsounds-demo-landscape.png"
        try:
            out.mkdir(parents=True, exist_ok=True)
            image.write_bytes(pyvips.Image.new_from_array(draw(WIDTH, HEIGHT)).pngsave_buffer())
        except OSError as error:
            raise OutputError(f"cannot write in {out} ({error.strerror}); choose another --out") from error
    notes = []
    if weights is None:
        weights = PRETRAINED
        try:
            load_weights(PRETRAINED)
        except WeightsUnavailableError as error:
            weights = UNTRAINED
            why = str(error).partition("; ")[0]  # the ways on after it are those of other commands
            notes.append(
                f"untrained weights are used: {why}; for trained ones connect to the internet once, or name "
                f"their file: netsounds-stream demo --weights FILE (make demo WEIGHTS=FILE)"
            )
            on_note(notes[0])
    return sonify(
        image,
        run,
        overwrite=_same_picture(run, image),
        on_plan=on_plan,
        on_progress=on_progress,
        notes=tuple(notes),
        weights=weights,
    )


def _same_picture(run: Path, image: Path) -> bool:
    """Whether what is at `run`, or was begun there, came from `image`: making it anew loses nothing."""
    left = read_journal(work_path(run.resolve()))
    records = [read_record(run / RECORD_NAME), None if left is None else left["record"]]
    there = [record for record in records if record is not None]
    return bool(there) and all(record["picture"]["path"] == str(image.absolute()) for record in there)
