"""What does a second worker gain, and what does cutting a picture into segments cost?

    python benchmarks/scaling.py --weights WEIGHTS [--rounds 3] [--pictures DIR]

One drawn picture, all defaults but the options that are named, on a Dask cluster of this machine: one worker
and two, of one thread each, with segments of 2,048 rows; one worker with one segment, whose CPU seconds tell
what the others' warm-up takes; and without a cluster. Besides, how fast one process writes files as workers do,
each synced.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import OUT, Case, measure
from question import drawn, folder_for, parse, parser, run_json, sonify, worker, write_result

from netsounds_stream.segments import USUAL_ROWS

# Time runs along the longer edge; a segment takes all of the other. 67 megapixels, eight segments.
SIZE, SMOKE_SIZE = (16384, 4096), (1100, 90)
_WHOLE_ROWS = 1 << 30
_FILES, _FILE_BYTES = 64, 16 << 20


def cases(picture: Path, weights: str, rows: int, pixels: int) -> list[Case]:
    """The same run in four ways."""
    made = []
    for name, workers, each in (
        ("one worker", 1, rows),
        ("two workers", 2, rows),
        ("one worker, one segment", 1, _WHOLE_ROWS),
    ):
        words = worker("clustered", workers, picture, weights, OUT, "--segment-rows", each)
        made.append(Case(name, words, {"workers": workers, "rows": min(each, pixels), "pixels": pixels}))
    made.append(Case("no cluster", sonify(picture, weights, OUT), {"workers": 0, "pixels": pixels}))
    return made


def written_per_second(count: int, size: int) -> float:
    """Bytes a second of files written one after another, each synced before the next."""
    content = os.urandom(size)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        for number in range(count):
            with Path(folder, str(number)).open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        return count * size / (time.perf_counter() - began)


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--pictures", type=Path, help="folder where the drawn picture is kept")
    given = parse(made)
    width, height = SMOKE_SIZE if given.smoke else SIZE
    rows, files = (256, (2, 1 << 16)) if given.smoke else (USUAL_ROWS, (_FILES, _FILE_BYTES))
    with folder_for(given.pictures) as folder:
        asked = cases(drawn(folder, width, height), given.weights, rows, width * height)
        rates = [written_per_second(*files) for _ in range(given.rounds)]
        found: list[dict[str, Any]] = []
        for each in measure(asked, given.rounds):
            reports = [once.report for once in each.rounds if once.failure is None]
            found.append(
                {
                    **run_json(each),
                    "plan": {"final_disk_bytes": each.report.get("plan", {}).get("final_disk_bytes")},
                    "rounds": [
                        {name: report.get(name) for name in ("seconds", "cluster", "command_seconds")}
                        for report in reports
                    ],
                }
            )
    facts = {"width": width, "height": height, "segment_rows": rows, "written_per_second": max(rates)}
    write_result(given, "scaling", {**facts, "cases": found})


if __name__ == "__main__":
    main()
