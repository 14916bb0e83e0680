"""How a run shows itself in notebooks: sounds with a player, contact sheets as pictures, arrays as arrays.

By the display protocol of IPython (`_repr_html_`, `_repr_mimebundle_`); IPython is not needed here.
"""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import soundfile
import zarr

from .errors import OptionError, StoreError
from .folder import file_label
from .page_data import media_type
from .windowed import FILTERS

if TYPE_CHECKING:
    from xarray import DataArray

#: A sound up to this size is shown as it is; of a larger one the beginning, as FLAC. A mix is 21 MB at most,
#: where nobody chose its length.
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
    def info(self) -> Any:
        """What libsndfile says of the whole file.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return soundfile.info(str(self.path))
        except (OSError, soundfile.LibsndfileError) as error:
            raise StoreError(f"{self.path} cannot be read ({error})") from error

    @property
    def sample_rate_hz(self) -> int:
        return int(self.info.samplerate)

    def read(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """All of it, float32 `[sample, channel]`, full scale being 1."""
        wanted = self._wanted(self.info)
        with soundfile.SoundFile(str(self.path)) as file:
            file.seek(self.start)
            return np.asarray(file.read(wanted, dtype="float32", always_2d=True))

    def _wanted(self, info: Any) -> int:
        rest = int(info.frames) - self.start
        return rest if self.samples is None else min(rest, self.samples)

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
        info = self.info
        plain = info.format in ("WAV", "FLAC", "OGG") and info.subtype != "FLOAT"
        if whole and plain and self.path.stat().st_size <= EMBEDDED_BYTES:
            return self.path.read_bytes(), media_type(self.path.suffix), ""
        wanted = self._wanted(info)
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
        page = (
            f'<img alt="{escape(self.title)}" style="max-width: 100%" src="data:image/webp;base64,{shown}">'
        )
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
        wanted = f"{self._stem(bank)}_{scheme}"
        for name in self.record["files"]:
            if Path(name).stem == wanted:  # all of it: a label may end like a scheme
                return Sound(self.folder / name, f"{self.record['label']}, bank {bank}, {scheme}")
        raise StoreError(
            f"{self.folder} has no sound of bank {bank} by {scheme}; make the run again with "
            f"--scheme {scheme}"
        )

    def filter(self, bank: int, number: int) -> Sound:
        """One filter's: a file of its own, or its stretch of `concat`."""
        title = f"{self.record['label']}, bank {bank}, filter {number}"
        for name in self.record["files"]:
            path = Path(name)
            if path.parent.name == f"{self._stem(bank)}{FILTERS}" and path.stem == f"{number:03d}":
                return Sound(self.folder / name, title)
        whole = self.sound(bank, "concat")
        sounding = self._sounding(bank)
        if number not in sounding:
            raise OptionError(f"filter {number} of bank {bank} does not sound in {whole.path.name}")
        # At another rate filters may begin between samples: each has those from its beginning on.
        each, place = self._filter_samples(bank), sounding.index(number)
        frames = whole.info.frames
        start, end = (min(ceil(at * each), frames) for at in (place, place + 1))
        if start == end:
            raise OptionError(f"{whole.path.name} is a preview that ends before filter {number}")
        return Sound(whole.path, title, start, end - start)

    def mosaic(self, bank: int, reduce: str = "mean") -> Mosaic:
        path = self.folder / "pictures" / f"bank-{bank}_{reduce}.webp"
        if not path.exists():
            raise StoreError(f"there is no {path}; make it with: netsounds-stream plot {self.folder}")
        return Mosaic(path, f"{self.record['label']}, bank {bank}: the {reduce} of each filter")

    def activations(self, bank: int) -> zarr.Array[Any]:
        """The stored array, float16 `[channel, y, x]`."""
        return zarr.open_array(str(self._array(bank)), mode="r")

    def dataarray(self, bank: int) -> DataArray:
        """The same for xarray, read where it is indexed; `y` and `x` in pixels that the network saw.

        Raises:
            OptionError: xarray is not installed.
        """
        try:
            from .dataarrays import data_array
        except ImportError as error:
            raise OptionError(
                f"xarray cannot be imported ({error}); install netsounds-stream[notebook], or "
                f"use activations()"
            ) from error
        return data_array(self.activations(bank), f"bank {bank}")

    def html(self, page: Path | None) -> str:
        """The run at a glance: what the picture was taken for, the mix, where its page is."""
        said = [f"<strong>{escape(self.record['label'])}</strong>, {escape(self.record['picture']['name'])}"]
        if any(name.startswith("mix.") for name in self.record["files"]):
            said.append(self.mix()._repr_html_())
        if page is not None:
            said.append(f'<a href="{escape(_reference(page))}">{escape(str(page))}</a>')
        return "".join(f"<div>{part}</div>" for part in said)

    def _stem(self, bank: int) -> str:
        return f"activations-{bank}_{file_label(self.record['label'])}"

    def _array(self, bank: int) -> Path:
        name = f"{self._stem(bank)}.zarr"
        if name not in self.record["files"]:
            raise StoreError(f"{self.folder} keeps no activations of bank {bank}; its banks are in run.json")
        return self.folder / name

    def _bank(self, bank: int) -> dict[str, Any]:
        return next(each for each in self.record["plan"]["banks"] if each["number"] == bank)

    def _filter_samples(self, bank: int) -> Fraction:
        """Of one filter in `concat`, at the file's rate."""
        sound, planned = self.record["options"]["sound"], self._bank(bank)
        windowed = sound["method"] != "ifft"
        samples = (
            self.record["plan"]["stft"]["samples"] if windowed else planned["frames"] * planned["frequencies"]
        )
        rate = sound["sample_rate_hz"]
        return Fraction(samples * (sound["resample_hz"] or rate), rate)

    def _sounding(self, bank: int) -> list[int]:
        sound, channels = self.record["options"]["sound"], self._bank(bank)["shape"][0]
        if sound["filters"] is not None:
            return list(sound["filters"])
        if sound["top"] is not None:
            return list(self.record["sounding"][str(bank)])
        return list(range(channels))


def _reference(page: Path) -> str:
    """From a notebook: relative to the kernel's folder, which is the notebook's; or with all of its path."""
    at = page.resolve()
    try:
        return quote(at.relative_to(Path.cwd()).as_posix())
    except ValueError:
        return at.as_uri()
