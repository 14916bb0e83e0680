"""A layer of a network over a picture, stored: `python benchmarks/workers/network_stored.py PICTURE OUT`."""

from __future__ import annotations

import argparse
from pathlib import Path

from report import report

from netsounds_stream import activations


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", required=True)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--memory", required=True)
    given = parser.parse_args()
    run = activations(
        given.picture,
        given.out,
        network=given.network,
        layers=[given.layer],
        weights="untrained",
        memory=given.memory,
    )
    record = run.record
    report(
        record["seconds"],
        peak_memory_bytes=record["peak_memory_bytes"],
        stages=record["seconds"],
        planned_memory_bytes=record["plan"]["peak_memory_bytes"],
        stored_bytes=sum(each.stat().st_size for each in given.out.rglob("*") if each.is_file()),
    )


if __name__ == "__main__":
    main()
