"""How a run shows itself in notebooks: sounds with a player, contact sheets as pictures, arrays as arrays.

By the display protocol of IPython (`_repr_html_`, `_repr_mimebundle_`); IPython is not needed here.
"""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import zarr

from .errors import OptionError, StoreError
from .page_data import media_type

if TYPE_CHECKING:
    from xarray import DataArray

#: A sound up to this size is shown as it is; of a larger one the beginning, as FLAC.
EMBEDDED_BYTES = 24 << 20
_PIECE_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Sound:
    """A sound file, or a stretch of one; a notebook shows it as a player.

    Attributes:
        start, samples: in each channel; `samples` None: to the end.
    """

    path: Path
    title: str
    start: int = 0
    samples: int | None = None

    @property
    def sample_rate_hz(self) -> int:
        return int(soundfile.info(str(self.path)).samplerate)

    def read(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """All of it, float32 `[sample, channel]`, full scale being 1."""
        with soundfile.SoundFile(str(self.path)) as file:
            file.seek(self.start)
            return np.asarray(file.read(self.samples or -1, dtype="float32", always_2d=True))

    def _repr_html_(self) -> str:
        content, kind, note = self._embedded()
        said = f"<br><small>{escape(note)}</small>" if note else ""
        return (
            f'<figure><figcaption>{escape(self.title)}</figcaption><audio controls preload="metadata" '
            f'aria-label="{escape(self.title)}" src="data:{kind};base64,{b64encode(content).decode()}">'
            f"</audio>{said}</figure>"
        )

    def _embedded(self) -> tuple[bytes, str, str]:
        """What a browser plays: the file, or FLAC of 16 bits of it; its type; what is to be said of that."""
        whole = self.start == 0 and self.samples is None
        info = soundfile.info(str(self.path))
        plain = info.format in ("WAV", "FLAC", "OGG") and info.subtype != "FLOAT"
        if whole and plain and self.path.stat().st_size <= EMBEDDED_BYTES:
            return self.path.read_bytes(), media_type(self.path.suffix), ""
        wanted = info.frames - self.start if self.samples is None else self.samples
        taken = min(wanted, EMBEDDED_BYTES // (2 * info.channels))
        made = io.BytesIO()
        with (
            soundfile.SoundFile(str(self.path)) as file,
            soundfile.SoundFile(made, "w", info.samplerate, info.channels, "PCM_16", format="FLAC") as flac,
        ):
            file.seek(self.start)
            for piece in file.blocks(_PIECE_SAMPLES, frames=taken, dtype="float32", always_2d=True):
                flac.write(np.clip(piece, -1, 1))
        note = f"the first {taken / info.samplerate:.0f} s of {wanted / info.samplerate:.0f} s"
        return made.getvalue(), "audio/flac", note if taken < wanted else ""


@dataclass(frozen=True)
class Mosaic:
    """A contact sheet of a bank's filters; a notebook shows it as a picture."""

    path: Path
    title: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = b64encode(self.path.read_bytes()).decode()
        page = f'<img alt="{escape(self.title)}" src="data:image/webp;base64,{shown}">'
        return {"text/plain": self.title, "text/html": page}


@dataclass(frozen=True)
class Shown:
    """A finished run's sounds, sheets and arrays, by the names in its record."""

    folder: Path
    record: dict[str, Any]

    def mix(self) -> Sound:
        names = [name for name in self.record["files"] if name.startswith("mix.")]
        if not names:
            raise StoreError(f"{self.folder} has no mix; make the run again, without --no-mix")
        return Sound(self.folder / names[0], f"{self.record['label']}, mix of all banks")

    def sound(self, bank: int, scheme: str) -> Sound:
        """A bank's file by 'sum' or 'concat'."""
        for name in self._names(bank):
            if Path(name).stem.endswith(f"_{scheme}"):
                return Sound(self.folder / name, f"{self.record['label']}, bank {bank}, {scheme}")
        raise StoreError(
            f"{self.folder} has no sound of bank {bank} by {scheme}; its schemes are in run.json"
        )

    def filter(self, bank: int, number: int) -> Sound:
        """One filter's: a file of its own, or its stretch of `concat`."""
        title = f"{self.record['label']}, bank {bank}, filter {number}"
        for name in self._names(bank):
            if Path(name).parent.name.endswith("_filters") and Path(name).stem == f"{number:03d}":
                return Sound(self.folder / name, title)
        whole, planned = self.sound(bank, "concat"), self._plan(bank)
        sounding = self._sounding(planned)
        if number not in sounding:
            raise OptionError(f"filter {number} of bank {bank} does not sound in {whole.path.name}")
        each = soundfile.info(str(whole.path)).frames // len(sounding)
        return Sound(whole.path, title, sounding.index(number) * each, each)

    def mosaic(self, bank: int, reduce: str = "mean") -> Mosaic:
        path = self.folder / "pictures" / f"bank-{bank}_{reduce}.webp"
        if not path.exists():
            raise StoreError(f"there is no {path}; make it with: netsounds-stream plot {self.folder}")
        return Mosaic(path, f"{self.record['label']}, bank {bank}: the {reduce} of each filter")

    def activations(self, bank: int) -> zarr.Array[Any]:
        """The stored array, float16 `[channel, y, x]`."""
        return zarr.open_array(str(self._array(bank)), mode="r")

    def dataarray(self, bank: int) -> DataArray:
        """The same for xarray, read where it is indexed; `y` and `x` in pixels of the picture.

        Raises:
            OptionError: xarray is not installed.
        """
        try:
            import xarray
            from xarray.backends import BackendArray
            from xarray.core import indexing
        except ImportError as error:
            raise OptionError("xarray is not installed; install it, or use activations()") from error
        array = self.activations(bank)

        class Stored(BackendArray):
            shape, dtype = array.shape, array.dtype

            def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
                return indexing.explicit_indexing_adapter(
                    key, self.shape, indexing.IndexingSupport.OUTER, array.oindex.__getitem__
                )

        about: dict[str, Any] = dict(array.attrs)
        places = {
            axis: about["offset_pixels"] + about["stride_pixels"] * np.arange(length)
            for axis, length in zip(("y", "x"), array.shape[1:], strict=True)
        }
        variable = xarray.Variable(("channel", "y", "x"), indexing.LazilyIndexedArray(Stored()), about)
        coordinates = {"channel": np.arange(array.shape[0]), **places}
        return xarray.DataArray(variable, coordinates, name=f"bank {bank}")

    def _names(self, bank: int) -> list[str]:
        return [name for name in self.record["files"] if name.startswith(f"activations-{bank}_")]

    def _array(self, bank: int) -> Path:
        for name in self._names(bank):
            if name.endswith(".zarr"):
                return self.folder / name
        raise StoreError(f"{self.folder} keeps no activations of bank {bank}; its banks are in run.json")

    def _plan(self, bank: int) -> dict[str, Any]:
        return next(each for each in self.record["plan"]["banks"] if each["number"] == bank)

    def _sounding(self, planned: dict[str, Any]) -> list[int]:
        sound = self.record["options"]["sound"]
        if sound["filters"] is not None:
            return list(sound["filters"])
        if sound["top"] is not None:
            raise StoreError(
                "which filters sound by --top is not in the record; make the run with --scheme filters"
            )
        return list(range(planned["shape"][0]))
