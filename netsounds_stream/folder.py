"""A run's folder: made under a partial name, given its own by one rename when everything in it is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import OutputError

RECORD_NAME = "run.json"
_LONGEST_LABEL_BYTES = 80  # file names may have 255


def file_label(label: str) -> str:
    """`label` as a part of file names: spaces become hyphens, what a file system dislikes becomes '_'."""
    hyphenated = re.sub(r"\s+", "-", label.strip())
    kept = re.sub(r"[^\w.'+-]", "_", hyphenated)
    return kept.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore")


class RunFolder:
    """`out` as it will be, worked on in `path`, a hidden neighbour of it.

    Leaving the `with` block after `finish` puts the run in its place; leaving it otherwise removes what
    was made. An existing run is replaced only with `overwrite`, and only at the end.

    Raises:
        OutputError: `out` is in the way, or cannot be made.
    """

    def __init__(self, out: Path, *, overwrite: bool) -> None:
        self._out = out.resolve()
        check_out(self._out, overwrite=overwrite)
        try:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            made = tempfile.mkdtemp(prefix=f".{self._out.name}.partial-", dir=self._out.parent)
        except OSError as error:
            raise OutputError(
                f"cannot make a folder in {self._out.parent} ({error.strerror}); choose another --out"
            ) from error
        self.path = Path(made)
        self.path.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        self._finished = False

    def __enter__(self) -> RunFolder:
        return self

    def finish(self) -> None:
        """Everything in `path` is whole."""
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._finished:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        replaced = self.path.with_name(self.path.name.replace(".partial-", ".replaced-"))
        try:
            if self._out.exists() and any(self._out.iterdir()):
                os.rename(self._out, replaced)
            os.rename(self.path, self._out)
        except OSError as failure:
            if replaced.exists() and not self._out.exists():
                os.rename(replaced, self._out)
            raise OutputError(
                f"the finished run could not be put at {self._out} ({failure.strerror}); it is in {self.path}"
            ) from failure
        shutil.rmtree(replaced, ignore_errors=True)


def check_out(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError if a run cannot be put at `out`: only an earlier run of ours is ever replaced."""
    if out.is_symlink() and not out.exists():
        raise OutputError(f"{out} is a link to nothing; remove it or choose another --out")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose another --out")
    if os.path.ismount(out):
        raise OutputError(f"{out} is the top of a disk; choose a folder in it for --out")
    try:
        there = {path.name for path in out.iterdir()} if out.exists() else set()
    except PermissionError as error:
        raise OutputError(f"no permission to read {out}; choose another --out") from error
    if not there:
        return
    record = read_record(out / RECORD_NAME)
    if record is None:
        raise OutputError(f"{out} holds other files, and no run; choose another --out or an empty folder")
    if not overwrite:
        raise OutputError(f"{out} holds a run already; use --overwrite to replace it, or another --out")
    foreign = sorted(there - {RECORD_NAME} - {Path(name).parts[0] for name in record["files"]})
    if foreign:
        raise OutputError(f"{out} holds {foreign[0]} besides a run; move it away, or choose another --out")


def read_record(path: Path) -> dict[str, Any] | None:
    """A run's record; None if there is none at `path` that this package wrote."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(record, dict) and "netsounds-stream" in record.get("versions", {}) and "files" in record
    return record if ours else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
