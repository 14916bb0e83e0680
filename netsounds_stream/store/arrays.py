"""Activations on disk: one zarr v3 array a bank, written in whole shards as frames arrive.

The store is also the transposition: activations come frame by frame with all filters side by side, sound
wants filter by filter with all frames end to end. So a shard holds all filters of some frames, and an
inner chunk one filter's: `[1, all frequencies, frames]` of the upright `[channel, y, x]`. Plain `zarr.open`
reads the arrays; here they are written and read as `shards` has them, many times cheaper than by zarr's own
pipeline, which reads arrays of any other layout.
"""

from __future__ import annotations

import threading
import tokenize
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import zarr
import zarr.codecs
import zarr.errors
from torch import Tensor

from ..base.checksums import FileSum, crc32c
from ..errors import StoreError, cannot_write
from ..planning.plan import AHEAD, BankPlan
from .shards import LZ4_LEVEL, PCODEC_LEVEL, ZSTD_LEVEL, ShardedArray, encoder, shard_path, shard_pieces

# How often a wait for shards looks whether it still has sense.
_LOOK_UP_SECONDS = 0.1

#: What zarr, numpy and the codecs raise on damaged files, found by mutating good ones.
UNREADABLE = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    MemoryError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    zarr.errors.BaseZarrError,
)
_LONGEST_REASON = 300

DIMENSIONS = ("channel", "y", "x")
#: Has a file at a path, given what writes one.
Place = Callable[[Path, Callable[[Path], None]], None]


def _codecs(codec: str) -> dict[str, Any]:
    match codec:
        case "zstd":
            return {"compressors": zarr.codecs.ZstdCodec(level=ZSTD_LEVEL)}
        case "lz4":
            return {"compressors": zarr.codecs.BloscCodec(cname="lz4", clevel=LZ4_LEVEL, shuffle="noshuffle")}
        case "pcodec":
            from zarr.codecs.numcodecs import PCodec

            return {"serializer": PCodec(level=PCODEC_LEVEL), "compressors": None}
    assert codec == "none"
    return {"compressors": None}


def create_array(
    path: Path, bank: BankPlan, *, time_axis: str, codec: str, attributes: Mapping[str, Any]
) -> None:
    """Lay out a new float16 array `[channel, y, x]` for `bank`, sharded along the time axis."""
    path.mkdir()  # zarr would also make the run's folder anew, had that vanished
    per_shard, across = bank.frames_per_shard, bank.frequencies
    plane = (across, per_shard) if time_axis == "x" else (per_shard, across)
    with warnings.catch_warnings():
        # pcodec is outside zarr's specification, which docs/limits.md says; once is enough.
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        zarr.create_array(
            str(path),
            shape=bank.shape,
            shards=(bank.channels, *plane),
            chunks=(1, *plane),
            dtype="float16",
            fill_value=0,
            dimension_names=DIMENSIONS,
            attributes={**attributes, "time_axis": time_axis},
            zarr_format=3,
            **_codecs(codec),
        )


class Piece(Protocol):
    """Which filters of which frames are to be read."""

    @property
    def channels(self) -> slice: ...
    @property
    def frames(self) -> slice: ...


B = TypeVar("B", bound=Piece)


class UploadQueue(Protocol):
    """What puts shards into an object store, several at a time."""

    def put_later(self, name: str, content: bytes, then: Callable[[], None]) -> None:
        """Put `content`, and call `then` when that is acknowledged; waits while too many are under way."""

    def check(self) -> None:
        """Raise what a put has failed with."""


class ShardWriter:
    """Gathers a bank's frames and has them written shard by shard.

    Holds one shard that fills; a full one is handed to `defer`, which has it encoded and written later,
    by another thread, and holds it until then.

    Args:
        path: the array's folder.
        putting: what takes shards, by that folder's name, where they do not go into it.
        frames: from and to which they come; both where shards begin or the bank ends. None: all.
        place: given a shard's path and what writes it, has it there; None: it is written by `defer`.
    """

    def __init__(
        self,
        path: Path,
        bank: BankPlan,
        time_axis: str,
        codec: str,
        defer: Callable[[Callable[[], None]], None],
        uploads: UploadQueue | None = None,
        frames: tuple[int, int] | None = None,
        place: Place | None = None,
    ) -> None:
        self._uploads = uploads
        self._path, self._bank, self._time_axis, self._errand = path, bank, time_axis, defer
        self._encode, self._place = encoder(codec), place or (lambda path, write: write(path))
        self._start, self._stop = frames or (0, bank.frames)
        self._asked, self._filled = -(-self._start // bank.frames_per_shard), 0
        self._parts: tuple[Tensor, ...] = ()
        self._written: dict[int, FileSum] = {}  # since `written` was last called
        self._changed = threading.Condition()

    def append(self, parts: tuple[Tensor, ...]) -> None:
        """Take the next frames: float16 `[1, channel, frame, frequency]`, split along the channels."""
        taken, count = 0, int(parts[0].shape[2])
        while taken < count:
            if not self._parts:
                self._parts = tuple(self._new_part(int(part.shape[1])) for part in parts)
            room = min(count - taken, self._bank.frames_per_shard - self._filled)
            for mine, part in zip(self._parts, parts, strict=True):
                mine[self._filled : self._filled + room] = part[0, :, taken : taken + room].permute(1, 2, 0)
            self._filled += room
            taken += room
            if self._filled == self._bank.frames_per_shard or self._start + self._filled == self._stop:
                self._hand_over()

    @property
    def finished(self) -> bool:
        """Whether every frame has come; the last shard was handed over with its last frame."""
        return self._start == self._stop

    @property
    def metadata_path(self) -> Path:
        return self._path / "zarr.json"

    @property
    def handed_over(self) -> int:
        """How many shards were full so far; the frames after them wait in `waiting`."""
        return -(-self._start // self._bank.frames_per_shard)

    def waiting(self) -> tuple[Tensor, ...]:
        """The frames of the shard that fills: float16 `[frame, frequency, channel]`, split as they came."""
        return tuple(part[: self._filled] for part in self._parts)

    def restore(self, handed_over: int, waiting: Sequence[Tensor]) -> None:
        """Go on where another writer was."""
        self._asked = handed_over
        self._start = min(handed_over * self._bank.frames_per_shard, self._bank.frames)
        self._parts = tuple(self._new_part(int(part.shape[2])) for part in waiting)
        for mine, part in zip(self._parts, waiting, strict=True):
            self._filled = int(part.shape[0])
            mine[: self._filled] = part

    def written(self, shards: int, cancelled: Callable[[], bool]) -> dict[PurePath, FileSum]:
        """Wait until the first `shards` shards are written, or `cancelled`; those not asked for before.

        By their paths, or by their names in the object store.
        """
        first, top = self._asked, self._path if self._uploads is None else PurePosixPath(self._path.name)
        with self._changed:
            while not cancelled() and any(number not in self._written for number in range(first, shards)):
                self._changed.wait(_LOOK_UP_SECONDS)
                if self._uploads is not None:
                    self._uploads.check()
            self._asked = shards
            found = {
                number: self._written.pop(number)
                for number in range(first, shards)
                if number in self._written
            }
        return {shard_path(top, self._time_axis, number): each for number, each in found.items()}

    def _new_part(self, channels: int) -> Tensor:
        return torch.empty(
            (self._bank.frames_per_shard, self._bank.frequencies, channels), dtype=torch.float16
        )

    def _hand_over(self) -> None:
        parts, number = self._parts, self._start // self._bank.frames_per_shard
        for part in parts:
            part[self._filled :] = 0  # a chunk is always whole: past the last frame it holds the fill value
        self._start += self._filled
        self._filled, self._parts = 0, ()
        self._errand(partial(self._write, parts, number))

    def _write(self, parts: tuple[Tensor, ...], number: int) -> None:
        if self._uploads is not None:
            self._put(self._uploads, parts, number)
            return
        path, found = shard_path(self._path, self._time_axis, number), FileSum(0, 0)

        def write(to: Path) -> None:
            nonlocal found
            size = crc = 0
            with to.open("wb") as file:
                for piece in shard_pieces(parts, self._time_axis, self._encode):
                    file.write(piece)
                    size, crc = size + len(piece), crc32c(piece, crc)
            found = FileSum(size, crc)

        try:
            # From the array's own folder on: a run's folder that vanished is not to be made anew, half empty.
            for folder in reversed(path.relative_to(self._path).parents[:-1]):
                (self._path / folder).mkdir(exist_ok=True)
            self._place(path, write)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._is_written(number, found)

    def _put(self, uploads: UploadQueue, parts: tuple[Tensor, ...], number: int) -> None:
        content = b"".join(shard_pieces(parts, self._time_axis, self._encode))
        name = shard_path(PurePosixPath(self._path.name), self._time_axis, number).as_posix()
        found = FileSum(len(content), crc32c(content))
        uploads.put_later(name, content, partial(self._is_written, number, found))

    def _is_written(self, number: int, found: FileSum) -> None:
        with self._changed:
            self._written[number] = found
            self._changed.notify_all()


class Activations:
    """Stored activations `[channel, y, x]`, read as frames `[channel, frame, frequency]` along time."""

    def __init__(
        self,
        array: Any,
        time_axis: str,
        frames_per_block: int,
        attributes: Mapping[str, Any],
        name: str = "the array",
    ) -> None:
        self._array, self.time_axis, self._name = array, time_axis, name
        self.frames_per_block = frames_per_block
        self.attributes = dict(attributes)
        self.shape = tuple(int(length) for length in array.shape)
        self.dtype = np.dtype(array.dtype)
        channels, height, width = self.shape
        self.channels = channels
        self.frames, self.frequencies = (width, height) if time_axis == "x" else (height, width)

    def check(self) -> None:
        """Check, without decoding, that no file of an array of ours is missing or cut short.

        Raises:
            StoreError: a file of the array is missing or damaged; the message names it.
        """
        if not isinstance(self._array, ShardedArray):
            return
        try:
            self._array.check()
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._name} is incomplete ({_words(error)}); make it again") from error

    def ahead(self, blocks: Iterable[B]) -> Iterator[B]:
        """`blocks`, in their order; where they come over a network, some are fetched before they are due."""
        expect = getattr(self._array, "expect", None)
        if expect is None:
            yield from blocks
            return
        waiting: deque[B] = deque()
        for block in blocks:
            expect(block.channels, block.frames)
            waiting.append(block)
            if len(waiting) > AHEAD:
                yield waiting.popleft()
        yield from waiting

    def read(self, channels: slice, frames: slice) -> Tensor:
        """Return a block `[channel, frame, frequency]`, as stored: a view, frames innermost for x."""
        where = (channels, slice(None), frames) if self.time_axis == "x" else (channels, frames)
        try:
            block = self._array[where]
        except UNREADABLE as error:
            raise StoreError(f"{self._name} cannot be read ({_words(error)}); make it again") from error
        native = np.asarray(block, dtype=self.dtype.newbyteorder("="))
        # torch takes no memory that it may not write, such as a mapped file's
        values = torch.from_numpy(native if native.flags.writeable else native.copy())
        return values.transpose(1, 2) if self.time_axis == "x" else values


def open_activations(path: str | Path, time_axis: str | None = None) -> Activations:
    """Open stored activations for reading: a `.zarr` array of any origin, or a `.npy` file.

    Args:
        path: the array's folder, or the file.
        time_axis: 'x' or 'y'. None: what the array's attributes say, else its long edge.

    Returns:
        The activations; their `read` gives blocks `[channel, frame, frequency]`.

    Raises:
        StoreError: it is not an array `[channel, y, x]` of finite floating-point numbers.

    Example:
        >>> from netsounds_stream import open_activations, open_run
        >>> array = next(path for path in open_run("landscape-netsounds").files if path.suffix == ".zarr")
        >>> activations = open_activations(array)
        >>> activations.shape, activations.time_axis
        ((96, 77, 117), 'x')
        >>> tuple(activations.read(slice(0, 8), slice(10, 20)).shape)
        (8, 10, 77)
    """
    return activations_of(*_open_array(Path(path)), time_axis, str(path))


def activations_of(
    array: Any,
    attributes: Mapping[str, Any],
    along_shard: tuple[int, ...],
    time_axis: str | None,
    name: str,
) -> Activations:
    """An opened array as activations; see `open_activations`."""
    if array.ndim != 3 or np.dtype(array.dtype).name not in ("float16", "float32", "float64"):
        raise StoreError(
            f"{name} holds {array.dtype} with shape {tuple(array.shape)}; activations are floating point "
            f"[channel, y, x], give such an array"
        )
    if 0 in array.shape:
        raise StoreError(f"{name} is empty: its shape is {tuple(array.shape)}; give another array")
    axis = time_axis or attributes.get("time_axis") or ("x" if array.shape[2] >= array.shape[1] else "y")
    if axis not in ("x", "y"):
        raise StoreError(f"{name} says its time axis is {axis!r}; give --time-axis x or y")
    return Activations(array, axis, along_shard[2 if axis == "x" else 1], attributes, name)


def _open_array(path: Path) -> tuple[Any, Mapping[str, Any], tuple[int, ...]]:
    mend = "give an activations .zarr array or a .npy file"
    if not path.exists():
        raise StoreError(f"nothing at {path}; {mend}")
    if path.suffix == ".npy":
        if not path.is_file():
            raise StoreError(f"{path} is not an ordinary file; {mend}")
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise StoreError(f"{path} is not a plain .npy array ({_words(error)}); {mend}") from error
        if not isinstance(array, np.ndarray):
            raise StoreError(f"{path} is an archive of arrays (.npz), not a single array; {mend}")
        return array, {}, (1, 64, 64)
    if not path.is_dir():
        raise StoreError(f"{path} is not a zarr array, which is a folder; {mend}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
            opened = zarr.open_array(str(path), mode="r")
        # zarr leaves out shards of zeros only; among ours none may be missing
        mine = opened.metadata.zarr_format == 3 and "time_axis" in opened.attrs
        ours = ShardedArray.recognise(path, opened.metadata.to_dict()) if mine else None
        return ours or opened, dict(opened.attrs), tuple(opened.chunks)
    except UNREADABLE as error:
        raise StoreError(f"{path} is not a zarr array ({_words(error)}); {mend}") from error


def _words(error: BaseException) -> str:
    """What an error says, in a line of a length to read."""
    first = next(iter(str(error).strip().splitlines()), "")
    return first[:_LONGEST_REASON] or type(error).__name__
