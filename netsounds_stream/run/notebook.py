"""A run's sounds, contact sheets and arrays as values, which notebooks show as players and pictures.

They show themselves by IPython's display protocol (`_repr_html_`, `_repr_mimebundle_`), without IPython.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import numpy as np
import soundfile
import zarr
from numpy.typing import NDArray

from ..base.units import format_bytes
from ..errors import OptionError, StoreError
from ..graph.usual import USUAL_NETWORK, usual_banks
from ..planning.formats import media_type
from ..store.arrays import UNREADABLE
from .layout import (
    IMAGE_TYPES,
    PICTURES,
    array_name,
    bank_stem,
    contact_sheet,
    file_label,
    filter_stem,
    filters_folder,
    is_mix,
    is_sharded_array,
    picture_of_run,
    stem_name,
)
from .record import recorded_plan

if TYPE_CHECKING:
    from xarray import DataArray

#: A sound up to this size is embedded as it is; of a larger one the beginning, as FLAC. A mix is 21 MB at
#: most, unless somebody chose its length.
EMBEDDED_BYTES = 24 << 20
#: `Sound.samples` reads no more than this at once; a `concat` can be 40 hours long.
SAMPLES_BYTES = 1 << 30
_PIECE_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Sound:
    """A sound file, or a stretch of one, read when its samples are asked for. A notebook shows a player.

    Attributes:
        path: the file.
        title: what the player is called; empty: the file's name.
        start: first sample of the stretch.
        count: number of samples in each channel; None: to the end of the file.

    Example:
        >>> import numpy, pathlib, soundfile
        >>> from netsounds_stream import Sound
        >>> soundfile.write("tone.wav", numpy.sin(numpy.arange(8000) / 8), 8000)
        >>> tone = Sound(pathlib.Path("tone.wav"))
        >>> tone.rate_hz, tone.channels, tone.seconds, tone.samples.shape
        (8000, 1, 1.0, (8000, 1))
    """

    path: Path
    title: str = ""
    start: int = 0
    count: int | None = None

    def __len__(self) -> int:
        """Return the number of samples in each channel."""
        rest = max(0, int(self.info.frames) - self.start)
        return rest if self.count is None else min(rest, self.count)

    @property
    def info(self) -> Any:
        """Format, rate and length of the whole file, as libsndfile tells them.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            return soundfile.info(str(self.path))
        except (OSError, soundfile.LibsndfileError) as error:
            raise StoreError(f"{self.path} cannot be read ({error}); make the run again") from error

    @property
    def rate_hz(self) -> int:
        """Sample rate in hertz."""
        return int(self.info.samplerate)

    @property
    def channels(self) -> int:
        """Number of channels: 1, or 2 in stereo."""
        return int(self.info.channels)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self) / self.rate_hz

    @property
    def samples(self) -> NDArray[np.float32]:
        """All samples, float32 `[sample, channel]`; full scale is 1. Each access reads the file.

        Raises:
            OptionError: they would take more than 1 GiB; `read` a part.
            StoreError: the file cannot be read.
        """
        size = 4 * len(self) * self.channels
        if size > SAMPLES_BYTES:
            raise OptionError(
                f"{self.path.name} would take {format_bytes(size)} as an array; read a part: "
                f"read(start, count)"
            )
        return self.read()

    def read(self, start: int = 0, count: int | None = None) -> NDArray[np.float32]:
        """Read a part of the samples, however large.

        Args:
            start: first sample, counted from this sound's own first.
            count: number of samples in each channel; None: all that follow.

        Returns:
            float32 `[sample, channel]`; full scale is 1. Fewer than `count` at the sound's end.

        Raises:
            OptionError: `start` or `count` is negative.
            StoreError: the file cannot be read.
        """
        if start < 0 or (count is not None and count < 0):
            raise OptionError(f"cannot read {count} samples from sample {start} on; use 0 or more")
        rest = max(0, len(self) - start)
        with soundfile.SoundFile(str(self.path)) as file:
            file.seek(min(self.start + start, file.frames))
            length = rest if count is None else min(rest, count)
            return np.asarray(file.read(length, dtype="float32", always_2d=True))

    @property
    def _title(self) -> str:
        return self.title or self.path.name

    def _repr_html_(self) -> str:
        content, kind, note = self._embedded()
        below = f"<br><small>{escape(note)}</small>" if note else ""
        return (
            f'<figure><figcaption>{escape(self._title)}</figcaption><audio controls preload="metadata" '
            f'aria-label="{escape(self._title)}" src="data:{kind};base64,{b64encode(content).decode()}">'
            f"</audio>{below}</figure>"
        )

    def _embedded(self) -> tuple[bytes, str, str]:
        """Return the sound as a browser plays it.

        Returns:
            The file, or 16-bit FLAC of it; its media type; a note for the user, or ''.
        """
        whole = self.start == 0 and self.count is None
        info = self.info
        plain = info.format in ("WAV", "FLAC", "OGG") and info.subtype != "FLOAT"
        if whole and plain and self.path.stat().st_size <= EMBEDDED_BYTES:
            return self.path.read_bytes(), media_type(self.path.suffix), ""
        length = len(self)
        embedded = min(length, EMBEDDED_BYTES // (2 * info.channels))
        content = io.BytesIO()
        with (
            soundfile.SoundFile(str(self.path)) as file,
            soundfile.SoundFile(
                content, "w", info.samplerate, info.channels, "PCM_16", format="FLAC"
            ) as flac,
        ):
            file.seek(self.start)
            for piece in file.blocks(_PIECE_SAMPLES, frames=embedded, dtype="float32", always_2d=True):
                flac.write(np.clip(piece, -1, 1))
        note = f"the first {embedded / info.samplerate:.0f} s of {length / info.samplerate:.0f} s"
        return content.getvalue(), "audio/flac", note if embedded < length else ""


@dataclass(frozen=True)
class Mosaic:
    """A contact sheet of a bank's filters; a notebook shows it as a picture.

    Attributes:
        path: the picture, a JPEG file; WebP in a run of version 0.1.
        title: what it shows.
    """

    path: Path
    title: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        content = b64encode(self.path.read_bytes()).decode()
        source = f"data:{IMAGE_TYPES[self.path.suffix]};base64,{content}"
        image = f'<img alt="{escape(self.title)}" style="max-width: 100%" src="{source}">'
        return {"text/plain": self.title, "text/html": image}


@dataclass(frozen=True)
class RunContents:
    """The sounds, contact sheets and arrays of a finished run, found by its record.

    Attributes:
        folder: the run's folder.
        record: its record.
    """

    folder: Path
    record: dict[str, Any]

    def sound(self, of: int | Literal["mix"], scheme: str) -> Sound:
        """Return one of the run's sounds.

        Args:
            of: 'mix', or the number of a bank.
            scheme: of a bank: 'sum', 'concat' or 'stem'.

        Returns:
            The sound, which has not been read.

        Raises:
            StoreError: the run has no such file.
        """
        if of == "mix":
            names = self._mixes
            title = f"{self.record['label']}, mix of all banks"
            remedy = "make it again without --no-mix (mix=False)"
        else:
            # the whole name is compared: a label may end like a scheme
            stem = f"{bank_stem(of, self._label)}_{scheme}"
            if scheme == "stem":
                stem = stem_name(of, self._label)
            names = [name for name in self.record["files"] if Path(name).stem == stem]
            title = f"{self.record['label']}, bank {of}, {scheme}"
            again = "--stems (stems=True)" if scheme == "stem" else f"--scheme {scheme} (scheme={scheme!r})"
            remedy = f"make it again with {self._with_bank(of) or again}"
        if not names:
            missing = "mix" if of == "mix" else f"{scheme} of bank {of}"
            raise StoreError(f"{self.folder} has no {missing}: its sounds are {self._sounds()}; {remedy}")
        return Sound(self.folder / names[0], title)

    def _sounds(self) -> str:
        """Name the run's sounds, for a message."""
        sound = self.record["options"]["sound"]
        schemes = [*sound["schemes"], *(["stem"] if sound.get("stems") else [])]
        names = ["the mix"] if self._mixes else []
        if schemes:
            names.append(f"{' and '.join(schemes)} of bank {', '.join(map(str, self._banks))}")
        return " and ".join(names) or "none"

    def filter(self, bank: int, number: int) -> Sound:
        """Return one filter's sound.

        Args:
            bank: number of the bank.
            number: number of the filter, counted from 0.

        Returns:
            The filter's own file, or its stretch of `concat`.

        Raises:
            OptionError: the filter was not made into sound.
            StoreError: the run has neither `filters` nor `concat`.
        """
        title = f"{self.record['label']}, bank {bank}, filter {number}"
        folder = filters_folder(bank, self._label)
        for name in self.record["files"]:
            path = Path(name)
            if path.parent.name == folder and path.stem == filter_stem(number):
                return Sound(self.folder / name, title)
        whole = self.sound(bank, "concat")
        selected = self._selected_filters(bank)
        if number not in selected:
            raise OptionError(f"filter {number} of bank {bank} does not sound in {whole.path.name}")
        # after resampling a filter may begin between two samples: its stretch begins at the second
        filter_samples = self._filter_samples(bank)
        position = selected.index(number)
        start = min(ceil(position * filter_samples), whole.info.frames)
        end = min(ceil((position + 1) * filter_samples), whole.info.frames)
        if start == end:
            raise OptionError(f"{whole.path.name} is a preview that ends before filter {number}")
        return Sound(whole.path, title, start, end - start)

    def mosaic(self, bank: int, reduce: str = "mean") -> Mosaic:
        """Return a bank's contact sheet; `reduce` is 'mean' or 'max'.

        Raises:
            StoreError: the run has none.
        """
        path = picture_of_run(self.folder / PICTURES / contact_sheet(bank, reduce))
        if not path.exists():
            raise StoreError(f"there is no {path}; make it with: netsounds-stream plot {self.folder}")
        return Mosaic(path, f"{self.record['label']}, bank {bank}: the {reduce} of each filter")

    def array(self, bank: int) -> zarr.Array[Any]:
        """Open the stored array of a bank.

        Returns:
            A zarr array, float16 `[channel, y, x]`.

        Raises:
            StoreError: the run has none, or it cannot be read.
        """
        path = self._array(bank)
        try:
            return zarr.open_array(str(path), mode="r")
        except UNREADABLE as error:
            raise StoreError(f"{path} cannot be opened ({error}); make the run again") from error

    def dataarray(self, bank: int) -> DataArray:
        """Open the stored array of a bank for xarray.

        Returns:
            `[channel, y, x]`, with the pixels that the network saw as coordinates.

        Raises:
            OptionError: xarray is not installed.
            StoreError: the run has no such array, or it cannot be read.
        """
        try:
            from .xarray_view import data_array
        except ImportError as error:
            raise OptionError(
                f"xarray cannot be imported ({error}); install netsounds-stream[notebook], or use array()"
            ) from error
        return data_array(self.array(bank), f"bank {bank}")

    def html(self, page: Path | None) -> str:
        """Show the run at a glance.

        Args:
            page: the run's page, if it has one.

        Returns:
            HTML with the run's label, a player of the mix, and a link to the page.
        """
        parts = [f"<strong>{escape(self.record['label'])}</strong>, {escape(self.record['picture']['name'])}"]
        if self._mixes:
            parts.append(self.sound("mix", "")._repr_html_())
        if page is not None:
            parts.append(f'<a href="{escape(_link(page))}">{escape(str(page))}</a>')
        return "".join(f"<div>{part}</div>" for part in parts)

    @property
    def _label(self) -> str:
        return file_label(self.record["label"])

    @property
    def _mixes(self) -> list[str]:
        """The name of the mix, if there is one."""
        return [name for name in self.record["files"] if is_mix(name)]

    @property
    def _banks(self) -> list[int]:
        return [planned["number"] for planned in self.record["plan"]["banks"]]

    def _with_bank(self, bank: int) -> str:
        """Return the option that adds a bank which the run left out; empty where it has that bank."""
        if bank in self._banks:
            return ""
        if bank not in range(1, _most_banks(self.record) + 1):
            raise OptionError(f"there is no bank {bank}; use one of {', '.join(map(str, self._banks))}")
        numbers = ",".join(map(str, sorted([*self._banks, bank])))
        return f"--banks {numbers} (banks=({numbers}))"

    def _array(self, bank: int) -> Path:
        name = array_name(bank, self._label)
        if name not in self.record["files"]:
            kept = f"its arrays are of bank {', '.join(map(str, self._banks))}"
            if not any(is_sharded_array(other) for other in self.record["files"]):
                kept = "it keeps no arrays"
            again = self._with_bank(bank) or "--activations (activations=True)"
            raise StoreError(f"{self.folder} has no array of bank {bank}: {kept}; make it again with {again}")
        return self.folder / name

    def _bank(self, bank: int) -> dict[str, Any]:
        return next(planned for planned in self.record["plan"]["banks"] if planned["number"] == bank)

    def _filter_samples(self, bank: int) -> Fraction:
        """Return the length of one filter in `concat`, in samples at the file's rate."""
        sound = self.record["options"]["sound"]
        planned = self._bank(bank)
        windowed = sound["method"] != "ifft"
        samples = (
            self.record["plan"]["stft"]["samples"] if windowed else planned["frames"] * planned["frequencies"]
        )
        rate = sound["sample_rate_hz"]
        return Fraction(samples * (sound["resample_hz"] or rate), rate)

    def _selected_filters(self, bank: int) -> list[int]:
        """Return the numbers of the filters in `concat`, in their order there."""
        sound = self.record["options"]["sound"]
        channels = self._bank(bank)["shape"][0]
        if sound["filters"] is not None:
            return list(sound["filters"])
        if sound["top"] is not None:
            return list(self.record["sounding"][str(bank)])
        return list(range(channels))


def _link(page: Path) -> str:
    """Return a link from a notebook to a page.

    It is relative to the kernel's folder, which is the notebook's, where the page is in that folder.
    """
    page = page.resolve()
    try:
        return quote(page.relative_to(Path.cwd()).as_posix())
    except ValueError:
        return page.as_uri()


def number_of(record: Mapping[str, Any], bank: int | str) -> int:
    """Return the number of a bank that is named by its number, or by its layer.

    Raises:
        StoreError: the run has no bank of that layer.
    """
    if isinstance(bank, int):
        return bank
    names = {planned.bank.layer: planned.number for planned in recorded_plan(dict(record)).banks}
    for number, name in enumerate(record["options"].get("layers") or (), start=1):
        names.setdefault(name, number)  # as it was asked for
    if bank not in names:
        raise StoreError(f"the run has no layer {bank!r}: its layers are {', '.join(names)}")
    return names[bank]


def _most_banks(record: Mapping[str, Any]) -> int:
    """Return the number of banks that a run could have; its largest one's where that is not known."""
    options = record["options"]
    if options.get("layers") is not None:
        return len(options["layers"])
    if options.get("network", USUAL_NETWORK) == USUAL_NETWORK:
        return len(usual_banks().banks)
    return max(int(planned["number"]) for planned in record["plan"]["banks"])
