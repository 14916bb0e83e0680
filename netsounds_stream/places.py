"""Where a run's files lie in its folder, while it goes on and in the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .windowed import FILTERS


@dataclass(frozen=True)
class Places:
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

    def array(self, number: int) -> Path:
        return self.folder / f"{self._stem(number)}.zarr"

    def sum_spool(self, number: int) -> Path:
        return self.temporary / f"sum-{number}.spool"

    def overview(self, name: str) -> Path:
        return self.temporary / f"{name}.overview"

    def sound(self, number: int, scheme: str) -> Path:
        """A bank's one file of a scheme."""
        return self.folder / f"{self._stem(number)}_{scheme}.{self.ending}"

    def filters(self, number: int, filters: Iterable[int]) -> list[Path]:
        """A file a filter, in a folder that is made."""
        folder = self.folder / f"{self._stem(number)}{FILTERS}"
        folder.mkdir(exist_ok=True)
        return [folder / f"{each:03d}.{self.ending}" for each in filters]

    def _stem(self, number: int) -> str:
        return f"activations-{number}_{self.label}"
