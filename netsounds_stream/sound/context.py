"""The surroundings that all stages of sound share: options, journal, workers and folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base.journal import Journal
from ..base.pipeline import Pipeline
from ..planning.sound_options import SoundOptions
from .tags import Tags
from .view import Views


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """A stage's surroundings, besides its input and its output.

    Attributes:
        options: how activations become sound.
        journal: where the steps' states are kept.
        pipeline: the workers.
        temporary: folder for files that the finished run does not have.
        tags: returns the tags of a file, given the numbers of its banks and its scheme.
        views: folder where views of the files are kept for the report; None without a report.
        device: torch device on which filters are inverted.
    """

    options: SoundOptions
    journal: Journal
    pipeline: Pipeline
    temporary: Path
    tags: Callable[[str, str], Tags]
    views: Views | None = None
    device: str = "cpu"
