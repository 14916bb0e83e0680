"""Where a run's files lie in its folder, while it goes on and in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..planning.plan import AudioPlan, Plan
from ..sound.finished_files import FILTERS
from .folder import REPORT


@dataclass(frozen=True)
class Layout:
    """In `folder`; `label` is as file names have it, `ending` of sound files."""

    folder: Path
    label: str
    ending: str

    @property
    def temporary(self) -> Path:
        """A folder for what waits while the run goes on."""
        return self.folder / "temporary"

    @property
    def picture_spool(self) -> Path:
        return self.folder / "picture.spool.tif"

    @property
    def mix(self) -> Path:
        return self.folder / f"mix.{self.ending}"

    def parts(self, number: int, plan: Plan) -> list[tuple[AudioPlan, Path]]:
        """Return the files of a bank's part of the mix, as planned: a stem, and what the page plays."""
        stem, part = self.folder / f"stem-{number}_{self.label}.{self.ending}", f"{REPORT}/part-{number}.flac"
        files = ((plan.stems, stem), (plan.parts, self.folder / part))
        return [(audio, path) for audio, path in files if audio is not None]

    def array(self, number: int) -> Path:
        return self.folder / f"{self._named(number)}.zarr"

    def sum_spool(self, number: int) -> Path:
        return self.temporary / f"sum-{number}.spool"

    def overview(self, name: str) -> Path:
        return self.temporary / f"{name}.overview"

    def sounds(self, number: int, audio: AudioPlan, filters: Iterable[int]) -> list[Path]:
        """Return the files of one of a bank's schemes, where these filters sound."""
        return (
            self.filters(number, filters) if audio.scheme == "filters" else [self.sound(number, audio.scheme)]
        )

    def sound(self, number: int, scheme: str) -> Path:
        """A bank's one file of a scheme."""
        return self.folder / f"{self._named(number)}_{scheme}.{self.ending}"

    def filters(self, number: int, filters: Iterable[int]) -> list[Path]:
        """A file a filter, in a folder that is made."""
        folder = self.folder / f"{self._named(number)}{FILTERS}"
        folder.mkdir(exist_ok=True)
        return [folder / f"{each:03d}.{self.ending}" for each in filters]

    def _named(self, number: int) -> str:
        return f"activations-{number}_{self.label}"
