"""What does a second worker gain, and what does cutting a picture into segments cost?

    python benchmarks/scaling.py --weights WEIGHTS [--rounds 3] [--pictures DIR]

One drawn picture on a Dask cluster of this machine. By all defaults: one worker and two, of one thread each,
and no cluster. By `--scheme sum`: segments of 2,048 rows, and one segment, whose CPU seconds tell what the
others' warm-up takes; and a picture that is wide across its time axis, where bands are low. Besides, how fast
one process writes files as workers do, each synced.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import OUT, Case, measure
from question import drawn, folder_for, parse, parser, pixels_of, run_json, sonify, worker, write_result

from netsounds_stream.cluster.segments import USUAL_ROWS, segments_of
from netsounds_stream.run.record import recorded_plan

# Time runs along the longer edge of the first: 34 megapixels, eight segments. Of the wide one, the shorter.
SIZE, SMOKE_SIZE = (16384, 2048), (1100, 90)
WIDE, SMOKE_WIDE = (32768, 1024), (90, 70)
_ONE = 1 << 30  # rows of a segment, more than any picture has
_FILES, _FILE_BYTES = 64, 16 << 20


def cases(picture: Path, wide: Path, weights: str, rows: int) -> list[Case]:
    """The runs that are compared."""
    only_sum = ("--scheme", "sum")
    across = (*only_sum, "--time-axis", "y", "--memory", "2GiB")
    asked = (
        ("one worker", picture, 1, rows, ()),
        ("two workers", picture, 2, rows, ()),
        ("sum, segments", picture, 1, rows, only_sum),
        ("sum, one segment", picture, 1, _ONE, only_sum),
        ("sum, wide", wide, 1, _ONE, across),
    )
    made = []
    for name, path, workers, each, more in asked:
        words = worker("clustered", workers, path, weights, OUT, "--segment-rows", each, *more)
        made.append(Case(name, words, {"workers": workers, "pixels": pixels_of(path)}))
    made.append(
        Case("no cluster", sonify(picture, weights, OUT), {"workers": 0, "pixels": pixels_of(picture)})
    )
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


def overlap_rows(record: dict[str, Any], rows: int) -> int:
    """Return how many rows a segment in the middle of the recorded run reads beyond its own."""
    segments = segments_of(recorded_plan(record), rows)
    each = segments[min(1, len(segments) - 1)]
    return (each.last - each.first) - (each.stop - each.start)


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--pictures", type=Path, help="folder where the drawn picture is kept")
    given = parse(made)
    size, wide = (SMOKE_SIZE, SMOKE_WIDE) if given.smoke else (SIZE, WIDE)
    rows, files = (256, (2, 1 << 16)) if given.smoke else (USUAL_ROWS, (_FILES, _FILE_BYTES))
    with folder_for(given.pictures) as folder:
        asked = cases(drawn(folder, *size), drawn(folder, *wide), given.weights, rows)
        if given.smoke:
            asked = asked[1:2]  # a cluster's begin takes seconds
        rates = [written_per_second(*files) for _ in range(given.rounds)]
        found: list[dict[str, Any]] = []
        overlap = None
        for each in measure(asked, given.rounds):
            reports = [once.report for once in each.rounds if once.failure is None]
            if reports and overlap is None:
                overlap = overlap_rows(reports[0], rows)
            found.append(
                {
                    **run_json(each),
                    "band_rows": each.report.get("plan", {}).get("band_rows"),
                    "rounds": [
                        {name: report.get(name) for name in ("seconds", "cluster", "command_seconds")}
                        for report in reports
                    ],
                }
            )
    facts = {"size": size, "wide": wide, "segment_rows": rows, "overlap_rows": overlap}
    write_result(given, "scaling", {**facts, "written_per_second": max(rates), "cases": found})


if __name__ == "__main__":
    main()
