"""Checkpoints: named arrays in one file, an uncompressed zip of `.npy` members like those of `numpy.savez`.

Arrays are written one after another, straight from their memory. The zip's own CRCs do not cover its
directory, so damage is detected by the checksum of the whole file.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import OutputError, StoreError, remedy_to_write
from .checksums import FileSum, file_sum
from .sink import Closable

# Suffix of bfloat16 tensors' names: numpy lacks the dtype, so their bits are stored as int16.
_BFLOAT16 = ".bfloat16"


class CheckpointWriter:
    """Writer of a new checkpoint at `path`, which is complete once closed.

    Raises:
        OutputError: the file cannot be written; every method may raise it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._output_errors():
            self._file = path.open("wb")
            self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def add(self, name: str, values: NDArray[np.generic] | Tensor) -> None:
        """Write one array.

        Args:
            name: its name; a slash in it makes a folder.
            values: an array or tensor of any shape. A tensor of four axes in channels_last layout is written
                without a copy.
        """
        if isinstance(values, Tensor) and values.dtype == torch.bfloat16:
            name += _BFLOAT16
        array = _as_array(values) if isinstance(values, Tensor) else np.ascontiguousarray(values)
        header = np.lib.format.header_data_from_array_1_0(array)
        with self._output_errors(), self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            member.write(array.reshape(-1).view(np.uint8))

    def close(self) -> None:
        """Write the zip's directory and close the file."""
        with self._output_errors():
            self._zip.close()
            self._file.close()

    def discard(self) -> None:
        """Close an unwanted checkpoint, complete or not; do nothing after `close`."""
        # Explicitly: if the garbage collector closed them, a full disk's error would be printed as a
        # traceback.
        for file in (self._zip, self._file):
            with contextlib.suppress(OSError, ValueError):
                file.close()

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot save the run's state in {self.path} ({error}); {remedy_to_write(error)}"
            ) from error


class CheckpointReader(Closable):
    """Reader of a checkpoint, verified against the checksum that was recorded when it was written.

    Args:
        path: a file that `CheckpointWriter` wrote.
        expected: its size and checksum.

    Raises:
        StoreError: the file is missing or damaged.
    """

    def __init__(self, path: Path, expected: FileSum) -> None:
        try:
            actual = file_sum(path)
        except OSError as error:
            raise StoreError(
                f"the run's saved state {path} cannot be read ({error.strerror}); start again with "
                "--overwrite"
            ) from error
        if actual != expected:
            raise StoreError(f"the run's saved state {path} is damaged; start again with --overwrite")
        self._zip = zipfile.ZipFile(path)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def tensors(self, folder: str) -> dict[str, Tensor]:
        """Read the tensors in `folder`.

        Returns:
            Tensors by their names within the folder; those of four axes are in channels_last layout.
        """
        prefix = f"{folder}/"
        return {
            name.removeprefix(prefix).removesuffix(_BFLOAT16): self._tensor(name)
            for name in self._names(prefix)
        }

    def all(self) -> dict[str, Tensor]:
        """Read every tensor.

        Returns:
            Tensors by their full names; those of four axes are in channels_last layout.
        """
        return {name.removesuffix(_BFLOAT16): self._tensor(name) for name in self._names()}

    def in_order(self, folder: str) -> Iterator[Tensor]:
        """Yield the tensors in `folder` whose names are numbers, in numerical order, one at a time."""
        prefix = f"{folder}/"
        for name in sorted(self._names(prefix), key=lambda name: int(name.removeprefix(prefix))):
            yield self._tensor(name)

    def _names(self, prefix: str = "") -> Iterator[str]:
        names = (name.removesuffix(".npy") for name in self._zip.namelist())
        return (name for name in names if name.startswith(prefix))

    def _tensor(self, name: str) -> Tensor:
        with self._zip.open(f"{name}.npy") as member:
            array = np.lib.format.read_array(member, allow_pickle=False)
        values = torch.from_numpy(array).clone()  # a copy has the alignment of torch's own memory
        if name.endswith(_BFLOAT16):
            values = values.view(torch.bfloat16)
        return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


def _as_array(values: Tensor) -> NDArray[np.generic]:
    host = values.detach().cpu()
    if host.ndim == 4:
        host = host.permute(0, 2, 3, 1)
    host = host.contiguous()
    array: NDArray[np.generic] = (host.view(torch.int16) if host.dtype == torch.bfloat16 else host).numpy()
    return array
