"""A finished run's `run.json` as a file: read, recognized as this package's, and extended by later files.

Its content is made in `record`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..base.checksums import file_sum, sealed
from ..base.journal import durably_replace
from ..errors import OutputError
from .layout import RECORD_NAME


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a run's record.

    Args:
        path: the file `run.json`.

    Returns:
        The record; None where there is none that this package wrote.
    """
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            return None
        return parsed_record(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def finished_record(folder: Path) -> dict[str, Any]:
    """Read the record of the finished run in a folder.

    Args:
        folder: the run's folder.

    Returns:
        The record.

    Raises:
        OutputError: `folder` holds no finished run.
    """
    record = read_record(folder / RECORD_NAME)
    if record is None:
        raise OutputError(f"{folder} holds no finished run; give a run's folder")
    return record


def parsed_record(text: str) -> dict[str, Any] | None:
    """Return the record whose text this is; None where this package did not write it."""
    try:
        record = json.loads(text)
        ours = "netsounds-stream" in record["versions"] and all(Path(name).parts for name in record["files"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return record if ours else None


def is_run(folder: Path) -> bool:
    """Return whether `folder` holds a finished run, damaged or not: a `run.json` may be another program's."""
    try:
        record = folder / RECORD_NAME
        return record.is_file() and b'"netsounds-stream' in record.read_bytes()
    except OSError:
        return False


def add_files(top: Path, record: Mapping[str, Any], name: str, paths: Iterable[Path]) -> None:
    """Add files to the record of a finished run, with their checksums.

    Args:
        top: the run's folder.
        record: its record so far.
        name: what the record's list of files calls them: a file, or a folder of them.
        paths: the files, below `top`.
    """
    sums = {path.relative_to(top).as_posix(): file_sum(path).to_json() for path in paths}
    files = record["files"] if name in record["files"] else [*record["files"], name]
    checksums = dict(sorted({**record.get("checksums", {}), **sums}.items()))
    durably_replace(top / RECORD_NAME, sealed({**record, "files": files, "checksums": checksums}))
