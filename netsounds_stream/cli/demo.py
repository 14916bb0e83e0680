"""The command `demo`: a run of a drawn picture, with pretrained weights if they can be downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyvips

from ..api import sonify
from ..base.journal import read_journal
from ..base.locations import default_folder
from ..base.progress import Listener
from ..errors import OutputError, WeightsUnavailableError
from ..network.networks import load_network
from ..picture.demo_picture import draw
from ..planning.options import PRETRAINED, UNTRAINED
from ..planning.plan import Plan
from ..run.layout import RECORD_NAME, work_path
from ..run.record_file import read_record
from ..run.result import Run

#: Size of the drawn picture, in pixels.
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
    """Make a run of a picture in `out`/NAME-netsounds, anew each time.

    Where no weights are named and the pretrained ones cannot be downloaded, untrained ones take their place.
    A note says so, and so do the label and the run's record.

    Args:
        image: file of the picture; None: one is drawn into `out`.
        out: folder of the picture and the run.
        weights: weights of the network; None: see above.
        on_plan: called with the plan before the work starts.
        on_progress: called as the work goes on.
        on_note: called with each note.

    Returns:
        The finished run.

    Raises:
        OutputError: the drawn picture cannot be written, or the run cannot be put there.
        NetsoundsError: another of its kinds, as `sonify` raises them.
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
            load_network(weights=PRETRAINED)
        except WeightsUnavailableError as error:
            weights = UNTRAINED
            reason = str(error).partition("; ")[0]  # without its remedies, which are other commands'
            notes.append(
                f"untrained weights are used: {reason}; for trained ones connect to the internet once, or "
                f"name their file: netsounds-stream demo --weights FILE (make demo WEIGHTS=FILE)"
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
    """Return whether the run at `run`, finished or stopped, came from `image`.

    Then replacing it loses nothing.
    """
    journal = read_journal(work_path(run.resolve()))
    candidates = [read_record(run / RECORD_NAME), None if journal is None else journal["record"]]
    records = [record for record in candidates if record is not None]
    return bool(records) and all(record["picture"]["path"] == str(image.absolute()) for record in records)
