"""Facts about a run, a stored array or a WAV file, for `netsounds-stream info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..base.units import format_bytes
from ..errors import NetsoundsError, OutputError, StoreError
from ..sound.wav import missing_bytes
from ..store.arrays import Activations, open_activations
from .destinations import location_of
from .files import RunFiles, with_folders
from .layout import RECORD_NAME
from .record_file import parsed_record, read_record


class NotOursError(NetsoundsError):
    """The path holds nothing that this package writes."""


def inspect(path: str | Path) -> dict[str, Any]:
    """Return facts about a run, an array of activations or a WAV file.

    Lengths are checked, of an array also the index of every shard. Nothing is decoded.

    Args:
        path: a run's folder, a `.zarr` or `.npy` array, or a `.wav` file; or the URL of a run or an array.

    Returns:
        The facts by name, JSON-ready; `kind` is 'run', 'activations' or 'sound'.

    Raises:
        NetsoundsError: the path holds none of these, or is damaged.

    Example:
        >>> from netsounds_stream import inspect
        >>> facts = inspect("landscape-netsounds")
        >>> facts["kind"], facts["picture"], facts["size"]
        ('run', 'landscape.png', '240 x 160 px')
    """
    location = location_of(path)
    if location.remote:
        return _remote_facts(location.files())
    path = Path(path)
    if not path.exists():
        raise NotOursError(f"nothing at {path}; give a run's folder, a .zarr or .npy array, or a .wav file")
    if path.name == RECORD_NAME and path.is_file():
        return _local_run_facts(path)
    if path.is_dir() and (path / RECORD_NAME).is_file():
        return _local_run_facts(path / RECORD_NAME)
    if path.suffix in (".zarr", ".npy") or (path / "zarr.json").is_file():
        return _local_array_facts(path)
    if path.is_file():
        return _wav_facts(path)
    raise NotOursError(f"{path} holds no run; give a run's folder, a .zarr or .npy array, or a .wav file")


def _remote_facts(files: RunFiles) -> dict[str, Any]:
    """Return facts about a run or an array in an object store."""
    text = files.text(RECORD_NAME)
    if text is not None:
        return _run_facts(f"{files.place}/{RECORD_NAME}", parsed_record(text), with_folders(files.sizes()))
    source = files.array("")
    source.check()
    return _array_facts(source, sum(files.sizes().values()))


def _local_run_facts(path: Path) -> dict[str, Any]:
    record = read_record(path)
    names = () if record is None else record["files"]
    return _run_facts(str(path), record, {name for name in names if (path.parent / name).exists()})


def _run_facts(path: str, record: dict[str, Any] | None, present: set[str]) -> dict[str, Any]:
    """Return facts about a run.

    Args:
        path: path or URL of its record.
        record: the record; None where it is none.
        present: names of the files and folders that are there.

    Returns:
        The facts by name, as `info` prints them.

    Raises:
        OutputError: the record is none, or lacks something.
    """
    try:
        if record is None:
            raise OutputError(f"{path} is not a run's record; give a run's folder")
        return {
            "kind": "run",
            "label": record["label"],
            "picture": record["picture"]["name"],
            "size": f"{record['picture']['resized_width']} x {record['picture']['resized_height']} px",
            "weights": record["weights"]["source"],
            "top5": ", ".join(
                f"{guess['category']} {guess['probability']:.2f}"
                for guess in record["prediction"]["label_size"]
            ),
            "seconds": round(sum(record["seconds"].values()), 1),
            "peak_memory": format_bytes(record["peak_memory_bytes"]),
            "planned_memory": format_bytes(record["plan"]["peak_memory_bytes"]),
            "command": record["command"],
            "notes": record["notes"],
            "files": {name: "there" if name in present else "MISSING" for name in record["files"]},
        }
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise OutputError(f"{path} is an incomplete record ({error}); make the run again") from error


def _local_array_facts(path: Path) -> dict[str, Any]:
    source = open_activations(path)
    source.check()
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) or path.stat().st_size
    return _array_facts(source, stored)


def _array_facts(source: Activations, stored: int) -> dict[str, Any]:
    """Return facts about an array that takes `stored` bytes."""
    raw = source.channels * source.frames * source.frequencies * np.dtype(source.dtype).itemsize
    return {
        "kind": "activations",
        "shape": dict(zip(("channel", "y", "x"), source.shape, strict=True)),
        "dtype": str(source.dtype),
        "time_axis": source.time_axis,
        "raw": format_bytes(raw),
        "stored": f"{format_bytes(stored)} ({raw / stored:.2f} to 1)",
        "attributes": source.attributes,
    }


def _wav_facts(path: Path) -> dict[str, Any]:
    missing = missing_bytes(path)
    if missing:
        raise StoreError(
            f"{path} is cut short: {missing} bytes of its samples are missing; "
            f"make it again, or get a complete copy"
        )
    try:
        with soundfile.SoundFile(path) as wav:
            return {
                "kind": "sound",
                "format": wav.format,
                "subtype": wav.subtype,
                "sample_rate_hz": wav.samplerate,
                "channels": wav.channels,
                "samples": wav.frames,
                "seconds": round(wav.frames / wav.samplerate, 3),
                "bytes": format_bytes(path.stat().st_size),
            }
    # besides its own error, soundfile asks for more words where a name ends in .raw
    except (soundfile.LibsndfileError, TypeError, ValueError, ZeroDivisionError) as error:
        raise StoreError(
            f"{path} is not a sound file that can be read ({error}); "
            f"give a run's folder, an array or a .wav file"
        ) from error
