"""A finished run as a value: where it is, what it holds, how it shows itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from .errors import OutputError
from .folder import PAGE, PICTURES, RECORD_NAME, REPORT, read_record
from .locations import is_url, local_only
from .notebook import Mosaic, Shown, Sound

if TYPE_CHECKING:
    from xarray import DataArray


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it is; a URL where it lies in an object store.
        label: what its files are named after.
        files: its sounds, the mix first, and its arrays.
        record: what `run.json` says: options, plan, prediction, times, measured memory, checksums.
        page: its report, to be opened in a browser; None where there is none.
    """

    folder: Path | str
    label: str
    files: tuple[Path | str, ...]
    record: dict[str, Any] = field(repr=False)
    page: Path | str | None = None

    def _repr_html_(self) -> str:
        return self._shown.html(None if self.page is None else Path(self.page))

    @property
    def mix(self) -> Sound:
        """All banks over one another; a notebook shows a player."""
        return self._shown.mix()

    def sum(self, bank: int) -> Sound:
        """All filters of a bank added."""
        return self._shown.sound(bank, "sum")

    def concat(self, bank: int) -> Sound:
        """A bank's filters, one after another."""
        return self._shown.sound(bank, "concat")

    def filter(self, bank: int, number: int) -> Sound:
        """One filter of a bank, where `concat` or `filters` was asked for."""
        return self._shown.filter(bank, number)

    def mosaic(self, bank: int, reduce: str = "mean") -> Mosaic:
        """The contact sheet of a bank's filters, of area means ('mean') or maxima ('max')."""
        return self._shown.mosaic(bank, reduce)

    def activations(self, bank: int) -> zarr.Array[Any]:
        """A bank's stored array, float16 `[channel, y, x]`."""
        return self._shown.activations(bank)

    def dataarray(self, bank: int) -> DataArray:
        """The same as an `xarray.DataArray`, read where it is indexed; `y` and `x` are pixels, after `size`.

        Raises:
            OptionError: xarray is not installed.
        """
        return self._shown.dataarray(bank)

    @property
    def _shown(self) -> Shown:
        return Shown(local_only("this", self.folder), self.record)


def open_run(folder: str | Path) -> Run:
    """A finished run, to be looked at and heard.

    Raises:
        OutputError: there is none in `folder`.
    """
    folder = local_only("open_run", folder)
    record = read_record(folder / RECORD_NAME)
    if record is None:
        raise OutputError(f"{folder} holds no finished run; give a run's folder")
    return as_run(folder, record)


def as_run(out: Path | str, record: dict[str, Any]) -> Run:
    """The finished run at `out` with that record."""

    def at(name: str) -> Path | str:
        return f"{out}/{name}" if is_url(out) else Path(out) / name

    names = [name for name in record["files"] if name not in (PAGE, PICTURES, REPORT)]
    page = at(PAGE) if PAGE in record["files"] else None
    return Run(out, record["label"], tuple(at(name) for name in names), record, page)
