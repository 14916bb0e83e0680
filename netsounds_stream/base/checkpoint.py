"""Arrays by name in one file: an uncompressed zip of `.npy` members, as `numpy.savez` makes.

Each array goes from its memory to the file, one after another and with no copy between. The zip's own CRCs
do not cover its directory, so a damaged file is told by the sum of the whole.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import OutputError, StoreError
from .checksums import FileSum, file_sum

_BFLOAT16 = ".bfloat16"  # ends the names of tensors that numpy has no dtype for: kept by their bits


class CheckpointWriter:
    """A new file at `path`, whole once closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._worded():
            self._file = path.open("wb")
            self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def add(self, name: str, values: NDArray[np.generic] | Tensor) -> None:
        """Write one array; a tensor `[1, channel, row, cross]` in channels_last goes without a copy."""
        if isinstance(values, Tensor) and values.dtype == torch.bfloat16:
            name += _BFLOAT16
        array = _as_array(values) if isinstance(values, Tensor) else np.ascontiguousarray(values)
        header = np.lib.format.header_data_from_array_1_0(array)
        with self._worded(), self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            member.write(array.reshape(-1).view(np.uint8))

    def close(self) -> None:
        with self._worded():
            self._zip.close()
            self._file.close()

    def discard(self) -> None:
        """Close what will not be used, whole or not; nothing after `close`."""
        # by hand: left to the collector, what fails on a full disk is printed with its traceback
        for each in (self._zip, self._file):
            with contextlib.suppress(OSError, ValueError):
                each.close()

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot save the run's state in {self.path} ({error}); make room on the disk, or make it "
                f"writable"
            ) from error


class CheckpointReader:
    """A file that `CheckpointWriter` made, and whose sum was taken then.

    Raises:
        StoreError: it is missing or damaged.
    """

    def __init__(self, path: Path, expected: FileSum) -> None:
        try:
            found = file_sum(path)
        except OSError as error:
            raise StoreError(
                f"the run's saved state {path} cannot be read ({error.strerror}); start again with "
                "--overwrite"
            ) from error
        if found != expected:
            raise StoreError(f"the run's saved state {path} is damaged; start again with --overwrite")
        self._zip = zipfile.ZipFile(path)

    def __enter__(self) -> CheckpointReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def tensors(self, folder: str) -> dict[str, Tensor]:
        """All tensors in `folder`, by their names in it; those of four axes in channels_last."""
        whole = (name.removesuffix(".npy") for name in self._zip.namelist())
        return {
            name.removeprefix(f"{folder}/").removesuffix(_BFLOAT16): self._tensor(name)
            for name in whole
            if name.startswith(f"{folder}/")
        }

    def all(self) -> dict[str, Tensor]:
        """All tensors, by their names."""
        names = (name.removesuffix(".npy") for name in self._zip.namelist())
        return {name.removesuffix(_BFLOAT16): self._tensor(name) for name in names}

    def each(self, folder: str) -> Iterator[Tensor]:
        """The tensors in `folder` that have numbers for names, in order, one at a time."""
        names = (name.removesuffix(".npy") for name in self._zip.namelist())
        numbers = (name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/"))
        for number in sorted(numbers, key=int):
            yield self._tensor(f"{folder}/{number}")

    def _tensor(self, name: str) -> Tensor:
        with self._zip.open(f"{name}.npy") as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        values = torch.from_numpy(array).clone()  # into memory aligned as torch's own
        if name.endswith(_BFLOAT16):
            values = values.view(torch.bfloat16)
        return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


def _as_array(values: Tensor) -> NDArray[np.generic]:
    there = values.detach().cpu()
    if there.ndim == 4:
        there = there.permute(0, 2, 3, 1)
    there = there.contiguous()
    array: NDArray[np.generic] = (there.view(torch.int16) if there.dtype == torch.bfloat16 else there).numpy()
    return array
