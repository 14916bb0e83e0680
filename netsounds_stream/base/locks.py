"""Exclusive locks on files. The system frees a lock with the process that holds it, however that ends.

A lock stays on its file when the file's folder is renamed. Windows has no `fcntl`: nothing is locked there,
and no file is kept open, since a folder with an open file in it could not be renamed.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LONGEST_HOLDER_BYTES = 20
# What file systems without locks say: some of NFS, SMB and FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


class LockHeldError(OSError):
    """Another process holds the lock.

    Attributes:
        holder: its process id.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(f"locked by process {holder}")
        self.holder = holder


class FileLock:
    """An exclusive lock on one file; the file holds the process id of whoever locked it last.

    Args:
        path: the file, created where there is none.

    Attributes:
        missing: why nothing is locked, where the file system has no locks; None where it has.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.missing: str | None = None
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def acquire(self) -> None:
        """Lock the file without waiting, or close it; where the file system has no locks, go without.

        Raises:
            LockHeldError: another process holds the lock.
            OSError: it cannot be locked for another reason.
        """
        if fcntl is None:
            self.release()
            return
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, _LONGEST_HOLDER_BYTES).decode(errors="replace")
            self.release()
            raise LockHeldError(holder) from error
        except OSError as error:
            self.release()
            if error.errno not in _NO_LOCKS:
                raise
            self.missing = error.strerror
            return
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def is_at(self, path: Path) -> bool:
        """Return whether `path` still names the locked file; true where nothing can be locked."""
        if self._descriptor is None:
            return True
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Close the file, which frees the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
