"""Stored activations: one zarr v3 array for each bank, written in whole shards as frames arrive.

The store also transposes: activations come frame by frame with all filters side by side, while sound needs
filter by filter with all frames end to end. So a shard holds all filters of some frames, and an inner chunk
the part of one filter: `[1, all frequencies, frames]` of the upright `[channel, y, x]`. Any zarr library
reads the arrays. Here the module `shards` writes and reads them, many times faster than zarr's own pipeline,
which reads arrays of any other layout.
"""

from __future__ import annotations

import threading
import tokenize
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
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
from ..base.journal import Files
from ..base.sink import ResumableSink
from ..errors import StoreError, cannot_write
from ..planning.plan import AHEAD, BankPlan
from .group import dimension_names
from .shard_memory import ShardMemory
from .shards import LZ4_LEVEL, PCODEC_LEVEL, ZSTD_LEVEL, ShardedArray, encoder, shard_path, shard_pieces

# How often a wait for shards checks for cancellation and failures.
_POLL_SECONDS = 0.1

#: The errors that zarr, numpy and the codecs raise on damaged files, found by mutating good ones.
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

#: Takes a path and a function that writes a file to a path, and puts the file in place at the former.
Place = Callable[[Path, Callable[[Path], None]], None]


@contextmanager
def pcodec_accepted() -> Iterator[None]:
    """Silence zarr's warning that pcodec is outside its specification, which docs/limits.md says already."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield


def _zarr_codecs(codec: str) -> dict[str, Any]:
    """Return the arguments of `zarr.create_array` that choose a codec."""
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
    """Create an empty float16 array `[channel, y, x]`, sharded along the time axis.

    Args:
        path: the array's folder, which must not exist.
        bank: the plan of the bank that it holds.
        time_axis: 'x' or 'y'.
        codec: 'zstd', 'lz4', 'pcodec' or 'none'.
        attributes: further attributes for the array.
    """
    path.mkdir()  # zarr would also create the run's folder again if that had vanished
    frames = bank.frames_per_shard
    plane = (bank.frequencies, frames) if time_axis == "x" else (frames, bank.frequencies)
    with pcodec_accepted():
        zarr.create_array(
            str(path),
            shape=bank.shape,
            shards=(bank.channels, *plane),
            chunks=(1, *plane),
            dtype="float16",
            fill_value=0,
            dimension_names=dimension_names(bank.number),
            attributes={**attributes, "time_axis": time_axis},
            zarr_format=3,
            **_zarr_codecs(codec),
        )


class Piece(Protocol):
    """Some filters of some frames, to be read together."""

    @property
    def channels(self) -> slice:
        """The filters."""

    @property
    def frames(self) -> slice:
        """The frames."""


B = TypeVar("B", bound=Piece)


class UploadQueue(Protocol):
    """A queue that uploads shards to an object store, several at a time."""

    def put_later(self, name: str, content: bytes, then: Callable[[], None]) -> None:
        """Upload an object in the background; waits while too many uploads are in flight.

        Args:
            name: the object's name.
            content: its bytes.
            then: called once the store has acknowledged the object.
        """

    def check(self) -> None:
        """Raise the error of a failed upload, if there is one."""


class ShardWriter(ResumableSink[int]):
    """Collects a bank's frames and writes them shard by shard.

    It holds the shard that is filling. A full shard is passed to `defer`, which encodes and writes it later,
    on another thread.

    Args:
        path: the array's folder.
        bank: the plan of the bank.
        time_axis: 'x' or 'y'.
        codec: the codec of the array's chunks.
        defer: runs a task later, such as `Pipeline.defer`.
        uploads: takes the shards where they go to an object store, by names under the folder's name.
        frames: first frame and the end; each lies at a shard's border or the bank's end. None: all frames.
        place: puts a shard's file in place; None: it is written directly.
        memory: memory of shards, which several writers may share; None: of this one's.
    """

    def __init__(
        self,
        path: Path,
        bank: BankPlan,
        *,
        time_axis: str,
        codec: str,
        defer: Callable[[Callable[[], None]], None],
        uploads: UploadQueue | None = None,
        frames: tuple[int, int] | None = None,
        place: Place | None = None,
        memory: ShardMemory | None = None,
    ) -> None:
        self._path = path
        self._bank = bank
        self._time_axis = time_axis
        self._encode = encoder(codec)
        self._defer = defer
        self._uploads = uploads
        self._place = place or (lambda path, write: write(path))
        self._memory = memory or ShardMemory()
        self._start, self._stop = frames or (0, bank.frames)  # first frame of the shard that is filling
        self._filled = 0  # frames in the shard that is filling
        self._parts: tuple[Tensor, ...] = ()  # that shard, `[frame, frequency, channel]`
        self._reported = -(-self._start // bank.frames_per_shard)  # shards that `written` has returned
        self._written: dict[int, FileSum] = {}  # shards that it has not
        self._changed = threading.Condition()

    def append(self, parts: tuple[Tensor, ...]) -> None:
        """Append the next frames.

        Args:
            parts: float16 `[1, channel, frame, frequency]`, split along the channels.
        """
        done = 0
        count = int(parts[0].shape[2])
        while done < count:
            if not self._parts:
                self._parts = tuple(self._new_part(int(part.shape[1])) for part in parts)
            room = min(count - done, self._bank.frames_per_shard - self._filled)
            for filling, part in zip(self._parts, parts, strict=True):
                frames = part[0, :, done : done + room]
                filling[self._filled : self._filled + room] = frames.permute(1, 2, 0)
            self._filled += room
            done += room
            if self._filled == self._bank.frames_per_shard or self._start + self._filled == self._stop:
                self._enqueue()

    @property
    def finished(self) -> bool:
        """True once every frame has come; the last one also completed the last shard."""
        return self._start == self._stop

    @property
    def metadata_path(self) -> Path:
        """The file of the array's metadata."""
        return self._path / "zarr.json"

    def state(self) -> int:
        """Return the number of shards that are full; the frames behind them are retained."""
        return -(-self._start // self._bank.frames_per_shard)

    def retained(self) -> dict[str, Tensor]:
        """Return the frames of the shard that fills.

        Returns:
            float16 `[frame, frequency, channel]`, split along the channels as they came, by their numbers.
        """
        return {str(number): part[: self._filled] for number, part in enumerate(self._parts)}

    def restore(self, state: int, retained: Mapping[str, Tensor]) -> None:
        """Resume where another writer was suspended."""
        self._reported = state
        self._start = min(state * self._bank.frames_per_shard, self._bank.frames)
        parts = [retained[name] for name in sorted(retained, key=int)]
        self._parts = tuple(self._new_part(int(part.shape[2])) for part in parts)
        for filling, part in zip(self._parts, parts, strict=True):
            self._filled = int(part.shape[0])
            filling[: self._filled] = part

    def files(self, state: int, cancelled: Callable[[], bool]) -> Files:
        """Return the array's metadata, and the shards that were written since `files` was last called."""
        return {self.metadata_path: None, **self.written(state, cancelled)}

    def written(self, shards: int, cancelled: Callable[[], bool]) -> dict[PurePath, FileSum]:
        """Wait until the first `shards` shards are written.

        Args:
            shards: number of full shards.
            cancelled: called while waiting; once it returns True, the wait ends.

        Returns:
            The checksums of the shards written since the last call, by their paths or by their names in the
            object store.
        """
        first = self._reported
        array = self._path if self._uploads is None else PurePosixPath(self._path.name)
        with self._changed:
            while not cancelled() and any(number not in self._written for number in range(first, shards)):
                self._changed.wait(_POLL_SECONDS)
                if self._uploads is not None:
                    self._uploads.check()
            self._reported = shards
            checksums = {
                number: self._written.pop(number)
                for number in range(first, shards)
                if number in self._written
            }
        return {
            shard_path(array, self._time_axis, number): checksum for number, checksum in checksums.items()
        }

    def _new_part(self, channels: int) -> Tensor:
        return self._memory.take((self._bank.frames_per_shard, self._bank.frequencies, channels))

    def _enqueue(self) -> None:
        """Defer the writing of the full shard, and begin the next one."""
        parts = self._parts
        number = self._start // self._bank.frames_per_shard
        for part in parts:
            part[self._filled :] = 0  # chunks have one size: behind the last frame is the fill value
        self._start += self._filled
        self._filled = 0
        self._parts = ()
        self._defer(partial(self._write, parts, number))

    def _write(self, parts: tuple[Tensor, ...], number: int) -> None:
        """Encode a shard, and write or upload it."""
        if self._uploads is not None:
            self._upload(self._uploads, parts, number)
            return
        path = shard_path(self._path, self._time_axis, number)
        checksum = FileSum(0, 0)

        def write(to: Path) -> None:
            nonlocal checksum
            size = crc = 0
            with to.open("wb") as file:
                for piece in shard_pieces(parts, self._time_axis, self._encode):
                    file.write(piece)
                    size += len(piece)
                    crc = crc32c(piece, crc)
            checksum = FileSum(size, crc)

        try:
            # Only below the array's own folder: if the run's folder has vanished, do not create it again.
            for folder in reversed(path.relative_to(self._path).parents[:-1]):
                (self._path / folder).mkdir(exist_ok=True)
            self._place(path, write)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._give_back(parts)
        self._note_written(number, checksum)

    def _upload(self, uploads: UploadQueue, parts: tuple[Tensor, ...], number: int) -> None:
        content = b"".join(shard_pieces(parts, self._time_axis, self._encode))
        self._give_back(parts)
        name = shard_path(PurePosixPath(self._path.name), self._time_axis, number).as_posix()
        checksum = FileSum(len(content), crc32c(content))
        uploads.put_later(name, content, partial(self._note_written, number, checksum))

    def _give_back(self, parts: tuple[Tensor, ...]) -> None:
        for part in parts:
            self._memory.give_back(part)

    def _note_written(self, number: int, checksum: FileSum) -> None:
        with self._changed:
            self._written[number] = checksum
            self._changed.notify_all()


class Activations:
    """Stored activations `[channel, y, x]`, read as frames `[channel, frame, frequency]` along time.

    Args:
        array: the array: zarr's, numpy's or a `ShardedArray`.
        time_axis: 'x' or 'y'.
        frames_per_block: frames that are best read together, those of a chunk.
        attributes: the array's attributes.
        name: the array's name in errors.

    Attributes:
        time_axis: 'x' or 'y'.
        frames_per_block: frames that are best read together.
        attributes: the array's attributes.
        shape: `[channel, y, x]`.
        dtype: dtype of the stored values.
        channels: number of filters.
        frames: number of frames, the length along the time axis.
        frequencies: number of values in a frame of one filter.
    """

    def __init__(
        self,
        array: Any,
        time_axis: str,
        frames_per_block: int,
        attributes: Mapping[str, Any],
        name: str = "the array",
    ) -> None:
        self._array = array
        self._name = name
        self.time_axis = time_axis
        self.frames_per_block = frames_per_block
        self.attributes = dict(attributes)
        self.shape = tuple(int(length) for length in array.shape)
        self.dtype = np.dtype(array.dtype)
        channels, height, width = self.shape
        self.channels = channels
        self.frames, self.frequencies = (width, height) if time_axis == "x" else (height, width)

    def check(self) -> None:
        """Check, without decoding, that no file of an array written by this package is missing or cut short.

        Raises:
            StoreError: a file of the array is missing or damaged; the message names it.
        """
        if not isinstance(self._array, ShardedArray):
            return
        try:
            self._array.check()
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._name} is incomplete ({_reason(error)}); make it again") from error

    def prefetched(self, blocks: Iterable[B]) -> Iterator[B]:
        """Prefetch the next blocks of an array in an object store while the current one is worked on.

        Yields:
            The same blocks in the same order.
        """
        prefetch = getattr(self._array, "prefetch", None)
        if prefetch is None:
            yield from blocks
            return
        upcoming: deque[B] = deque()
        for block in blocks:
            prefetch(block.channels, block.frames)
            upcoming.append(block)
            if len(upcoming) > AHEAD:
                yield upcoming.popleft()
        yield from upcoming

    def read(self, channels: slice, frames: slice) -> Tensor:
        """Read a block.

        Args:
            channels: the filters.
            frames: the frames.

        Returns:
            `[channel, frame, frequency]` in the stored dtype; a view, with frames innermost for time axis x.

        Raises:
            StoreError: the array cannot be read.
        """
        index = (channels, slice(None), frames) if self.time_axis == "x" else (channels, frames)
        try:
            block = self._array[index]
        except UNREADABLE as error:
            raise StoreError(f"{self._name} cannot be read ({_reason(error)}); make it again") from error
        native = np.asarray(block, dtype=self.dtype.newbyteorder("="))
        # torch does not take read-only memory, such as that of a mapped file
        values = torch.from_numpy(native if native.flags.writeable else native.copy())
        return values.transpose(1, 2) if self.time_axis == "x" else values


def open_activations(path: str | Path, time_axis: str | None = None) -> Activations:
    """Open stored activations for reading: a `.zarr` array of any origin, or a `.npy` file.

    Args:
        path: the array's folder, or the file.
        time_axis: 'x' or 'y'. None takes the axis from the array's attributes, else its long edge.

    Returns:
        The activations; their `read` returns blocks `[channel, frame, frequency]`.

    Raises:
        StoreError: it is not an array `[channel, y, x]` of floating-point numbers.

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
    chunk_shape: tuple[int, ...],
    time_axis: str | None,
    name: str,
) -> Activations:
    """Wrap an opened array as activations; see `open_activations`.

    Args:
        array: the array `[channel, y, x]`.
        attributes: its attributes.
        chunk_shape: shape of a chunk, `[channel, y, x]`.
        time_axis: 'x' or 'y'. None takes the axis from the attributes, else the long edge.
        name: the array's name in errors.

    Raises:
        StoreError: it is not an array `[channel, y, x]` of floating-point numbers.
    """
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
    return Activations(array, axis, chunk_shape[2 if axis == "x" else 1], attributes, name)


def _open_array(path: Path) -> tuple[Any, Mapping[str, Any], tuple[int, ...]]:
    """Open an array of any origin.

    Returns:
        The array, its attributes, and the shape of a chunk.
    """
    remedy = "give an activations .zarr array or a .npy file"
    if not path.exists():
        raise StoreError(f"nothing at {path}; {remedy}")
    if path.suffix == ".npy":
        if not path.is_file():
            raise StoreError(f"{path} is not an ordinary file; {remedy}")
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise StoreError(f"{path} is not a plain .npy array ({_reason(error)}); {remedy}") from error
        if not isinstance(array, np.ndarray):
            raise StoreError(f"{path} is an archive of arrays (.npz), not a single array; {remedy}")
        return array, {}, (1, 64, 64)
    if not path.is_dir():
        raise StoreError(f"{path} is not a zarr array, which is a folder; {remedy}")
    try:
        with pcodec_accepted():
            opened = zarr.open_array(str(path), mode="r")
        # zarr omits shards that hold zeros only. Of an array that this package wrote none may be missing.
        own = opened.metadata.zarr_format == 3 and "time_axis" in opened.attrs
        sharded = ShardedArray.recognise(path, opened.metadata.to_dict()) if own else None
        return sharded or opened, dict(opened.attrs), tuple(opened.chunks)
    except UNREADABLE as error:
        raise StoreError(f"{path} is not a zarr array ({_reason(error)}); {remedy}") from error


def _reason(error: BaseException) -> str:
    """Return the first line of an error's text, cut to a readable length, or its type."""
    first = next(iter(str(error).strip().splitlines()), "")
    return first[:_LONGEST_REASON] or type(error).__name__
