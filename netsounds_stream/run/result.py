"""A finished run as a value: where it is, what it holds, and how a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import zarr

from ..base.locations import local_only
from .layout import PAGE, PICTURES, REPORT
from .notebook import Mosaic, RunContents, Sound, number_of
from .record_file import finished_record

if TYPE_CHECKING:
    from xarray import DataArray


@dataclass(frozen=True)
class Run:
    """A finished run. A notebook shows what the network saw, a player of the mix, and a link to the page.

    Attributes:
        folder: where it is; a URL where it is in an object store.
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
        return self._contents.html(None if self.page is None else Path(self.page))

    @property
    def mix(self) -> Sound:
        """The mix of all banks, the same as `sound("mix")`."""
        return self.sound("mix")

    def sound(
        self, of: int | Literal["mix"] = "mix", scheme: Literal["sum", "concat", "stem"] = "sum"
    ) -> Sound:
        """Return one of the run's sounds. Its samples are read when they are asked for.

        Args:
            of: 'mix', or the number of a bank.
            scheme: of a bank: 'sum' (all filters added), 'concat' (one after another) or 'stem' (the bank's
                part of the mix).

        Returns:
            The sound, with its `path`, `rate_hz` and `samples`; a notebook shows a player.

        Raises:
            StoreError: the run has no such sound; the message names what it has.

        Example:
            >>> from netsounds_stream import open_run
            >>> run = open_run("landscape-netsounds")
            >>> run.sound("mix").samples.shape[1]
            2
            >>> run.sound(2, "sum").rate_hz
            44100
        """
        return self._contents.sound(of, scheme)

    def filter(self, bank: int, number: int) -> Sound:
        """Return the sound of one filter of a run that has scheme 'concat' or 'filters'.

        Args:
            bank: number of the bank.
            number: number of the filter, counted from 0.

        Returns:
            The filter's own file, or its stretch of `concat`.

        Raises:
            OptionError: the filter was not made into sound.
            StoreError: the run has neither scheme.
        """
        return self._contents.filter(bank, number)

    def mosaic(self, bank: int, reduce: Literal["mean", "max"] = "mean") -> Mosaic:
        """Return the contact sheet of a bank's filters, which a notebook shows as a picture.

        Args:
            bank: number of the bank.
            reduce: 'mean' or 'max' of the values in a cell.

        Returns:
            The contact sheet, with its `path`.

        Raises:
            StoreError: the run has no pictures.
        """
        return self._contents.mosaic(bank, reduce)

    def array(self, bank: int | str) -> zarr.Array[Any]:
        """Open the stored activations of a bank. Values are read when the array is indexed.

        Args:
            bank: number of the bank, or the name of its layer.

        Returns:
            A zarr array, float16 `[channel, y, x]`; a chunk is one filter over some of the time axis. Its
            `attrs` say where values lie: value `i` of `y` or `x` is centred on pixel
            `offset_pixels + stride_pixels * i`.

        Raises:
            StoreError: the run has no such array; the message names what it has.

        Example:
            >>> from netsounds_stream import open_run
            >>> run = open_run("landscape-netsounds")
            >>> array = run.array(2)
            >>> array.shape[0], array.dtype.name, array[17].ndim
            (256, 'float16', 2)
        """
        return self._contents.array(number_of(self.record, bank))

    def dataarray(self, bank: int | str) -> DataArray:
        """Open the stored activations of a bank for xarray, with pixels of the picture as coordinates.

        Args:
            bank: number of the bank, or the name of its layer.

        Returns:
            `[channel, y, x]`, read where it is indexed; `y` and `x` are the pixels, after `size`, that values
            are centred on.

        Raises:
            OptionError: xarray is not installed.
            StoreError: the run has no such array; the message names what it has.
        """
        return self._contents.dataarray(number_of(self.record, bank))

    @property
    def _contents(self) -> RunContents:
        return RunContents(local_only("this", self.folder), self.record)


def open_run(folder: str | Path) -> Run:
    """Open a finished run, to look at it and hear it.

    Args:
        folder: the run's folder.

    Returns:
        The run, as `sonify` returned it.

    Raises:
        OutputError: `folder` holds no finished run.

    Example:
        >>> from netsounds_stream import open_run
        >>> run = open_run("landscape-netsounds")
        >>> run.label, run.folder.name
        ('untrained', 'landscape-netsounds')
    """
    folder = local_only("open_run", folder)
    return as_run(folder, finished_record(folder))


def as_run(out: Path | str, record: dict[str, Any]) -> Run:
    """Return a finished run as a value.

    Args:
        out: its folder, or its URL as text.
        record: its record.
    """

    def at(name: str) -> Path | str:
        return f"{out}/{name}" if isinstance(out, str) else out / name

    names = [name for name in record["files"] if name not in (PAGE, PICTURES, REPORT)]
    page = at(PAGE) if PAGE in record["files"] else None
    return Run(out, record["label"], tuple(at(name) for name in names), record, page)
