"""A run's video: `python benchmarks/workers/video.py RUN OUT --codec CODEC --size SIZE [--path PATH]`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from report import report

from netsounds_stream import video


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--codec", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--path", default="")
    given = parser.parse_args()
    began = time.perf_counter()
    made = video(given.run, given.out, codec=given.codec, size=given.size, path=given.path or None)
    report(time.perf_counter() - began, plays_seconds=made.seconds, video_bytes=made.bytes)


if __name__ == "__main__":
    main()
