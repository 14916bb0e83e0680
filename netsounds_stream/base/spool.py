"""Rows of floats that wait on disk: appended, or written and read anywhere, from several threads."""

from __future__ import annotations

import os
import threading
from io import FileIO
from math import prod
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ..errors import StoreError, cannot_write


class PlacedFile:
    """An open file that several threads read and write anywhere."""

    def __init__(self, file: FileIO) -> None:
        self._file, self._seeking = file, threading.Lock()

    def put(self, content: bytes | memoryview, offset: int) -> None:
        """Write all of it."""
        rest = memoryview(content)
        while rest:  # the system may take less than all
            if hasattr(os, "pwrite"):
                taken = os.pwrite(self._file.fileno(), rest, offset)
            else:  # Windows
                with self._seeking:
                    self._file.seek(offset)
                    taken = self._file.write(rest)
            rest, offset = rest[taken:], offset + taken

    def fill(self, view: memoryview, offset: int) -> bool:
        """Read as much as `view` holds; False where the file ends before."""
        while view:
            if hasattr(os, "preadv"):
                taken = os.preadv(self._file.fileno(), [view], offset)
            else:  # macOS before 11, Windows
                with self._seeking:
                    self._file.seek(offset)
                    taken = self._file.readinto(view)
            if not taken:
                return False
            view, offset = view[taken:], offset + taken
        return True

    def close(self) -> None:
        self._file.close()


class Spool:
    """Rows in a file at `path`, which stays when the `with` block is left.

    Args:
        shape: of a row.
        rows: that a spool left before is to go on with; None: a new one.
        dtype: of its values.

    Attributes:
        rows: how many were appended.

    Raises:
        OutputError: it cannot be made.
        StoreError: the one to go on with is not as it was left.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        rows: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.path, self._shape, self.rows, self._dtype = path, shape, rows or 0, dtype
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

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def append(self, values: Tensor) -> None:
        """Add rows."""
        self.put(self.rows, values)
        self.rows += values.shape[0]

    def put(self, row: int, values: Tensor) -> None:
        """Write rows from `row` on."""
        assert values.dtype == self._dtype and values.shape[1:] == self._shape
        try:
            view = memoryview(values.contiguous().numpy()).cast("B")
            self._file.put(view, row * self._row_bytes)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read(self, row: int, count: int) -> Tensor:
        """`count` rows from `row` on."""
        values = torch.empty(count, *self._shape, dtype=self._dtype)
        if count and not self._file.fill(memoryview(values.numpy()).cast("B"), row * self._row_bytes):
            raise self._cut_short()
        return values

    def _cut_short(self) -> StoreError:
        return StoreError(f"{self.path} was cut short; start again with --overwrite")
