"""Spools: temporary files of numeric rows, appended or written and read at any row, by several threads."""

from __future__ import annotations

import os
import threading
from io import FileIO
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from ..errors import StoreError, cannot_write
from .sink import Closable


class PlacedFile:
    """An open file that several threads read and write at explicit offsets.

    Args:
        file: the file, unbuffered.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._turn = threading.Lock()  # held by the thread that writes, or that uses the file's own position

    def put(self, content: bytes | memoryview, offset: int) -> None:
        """Write all of `content` at `offset`."""
        rest = memoryview(content)
        while rest:  # the system may write only a part
            with self._turn:  # Linux lets one thread write to a file at a time; the others would spin
                if hasattr(os, "pwrite"):
                    count = os.pwrite(self._file.fileno(), rest, offset)
                else:  # Windows
                    self._file.seek(offset)
                    count = self._file.write(rest)
            rest = rest[count:]
            offset += count

    def fill(self, view: memoryview, offset: int) -> bool:
        """Read from `offset` until `view` is full.

        Returns:
            False if the file ends before.
        """
        while view:
            if hasattr(os, "preadv"):
                count = os.preadv(self._file.fileno(), [view], offset)
            else:  # macOS before 11, Windows
                with self._turn:
                    self._file.seek(offset)
                    count = self._file.readinto(view)
            if not count:
                return False
            view = view[count:]
            offset += count
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Spool(Closable):
    """Rows of one shape and dtype in a file, which remains when the `with` block is left.

    Args:
        path: the file.
        shape: shape of a row.
        rows: number of rows of an existing spool to keep and append to; None: start an empty one.
        dtype: dtype of the values.

    Attributes:
        path: the file.
        rows: number of rows appended so far.

    Raises:
        OutputError: the file cannot be written.
        StoreError: the existing spool is missing, or shorter than `rows`.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        rows: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.path = path
        self.rows = rows or 0
        self._shape = shape
        self._dtype = dtype
        self._row_bytes = dtype.itemsize * prod(shape)
        try:
            file = path.open("w+b" if rows is None else "r+b", buffering=0)
            self._file = PlacedFile(file)
            if rows is not None:
                if os.fstat(file.fileno()).st_size < rows * self._row_bytes:
                    file.close()
                    raise self._cut_short()
                file.truncate(rows * self._row_bytes)
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing; start again with --overwrite") from error
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Close the file, which remains on disk."""
        self._file.close()

    def append(self, values: Tensor) -> None:
        """Write `values`, `[row, ...]`, after the last appended row."""
        self.put(self.rows, values)
        self.rows += values.shape[0]

    def put(self, row: int, values: Tensor) -> None:
        """Write `values`, `[row, ...]`, from row number `row` on.

        Raises:
            OutputError: the file cannot be written.
        """
        assert values.dtype == self._dtype and values.shape[1:] == self._shape
        try:
            view = memoryview(values.contiguous().numpy()).cast("B")
            self._file.put(view, row * self._row_bytes)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read(self, row: int, count: int) -> Tensor:
        """Read `count` rows from row number `row` on.

        Returns:
            A tensor `[row, ...]` of the spool's dtype.

        Raises:
            StoreError: the file is shorter than that.
        """
        values = torch.empty(count, *self._shape, dtype=self._dtype)
        if count and not self._file.fill(memoryview(values.numpy()).cast("B"), row * self._row_bytes):
            raise self._cut_short()
        return values

    def _cut_short(self) -> StoreError:
        return StoreError(f"{self.path} was cut short; start again with --overwrite")
