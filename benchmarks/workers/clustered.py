"""A run on a Dask cluster of its own.

    python benchmarks/workers/clustered.py WORKERS PICTURE WEIGHTS OUT [OPTION ...]

Begins a scheduler and so many workers of one thread, each a process; when they are there, runs the command
with the words that follow. Reports the run's record, its seconds apart from the workers' begin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client

_SETTINGS = {"MALLOC_ARENA_MAX": "1", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False"}
_WORKER = ("--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--no-nanny")


def main() -> None:
    workers, (picture, weights, out, *words) = int(sys.argv[1]), sys.argv[2:]
    made: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        common = ("--scheduler-file", str(file))

        def begin(kind: str, *more: str) -> None:
            program = (sys.executable, "-m", f"distributed.cli.dask_{kind}", *common, *more)
            environment = {**os.environ, **_SETTINGS}
            quiet = subprocess.DEVNULL
            made.append(subprocess.Popen(program, cwd=folder, env=environment, stdout=quiet, stderr=quiet))

        try:
            begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
            for _ in range(workers):
                begin("worker", *_WORKER)
            with Client(scheduler_file=str(file), timeout="60s") as client:
                client.wait_for_workers(workers, timeout=60)
            address = json.loads(file.read_text())["address"]
            program = str(Path(sys.executable).parent / "netsounds-stream")
            given = ("sonify", picture, "--weights", weights, "--out", out, "--cluster", address)
            began = time.perf_counter()
            said = subprocess.check_output([program, *given, *words, "--quiet", "--json"], text=True)
            seconds = time.perf_counter() - began
        finally:
            for each in reversed(made):
                each.kill()  # a worker that is asked to end waits for its scheduler, for a minute at times
            for each in made:
                each.wait()
    record = json.loads(said)
    print(json.dumps({**record, "command_seconds": seconds}))


if __name__ == "__main__":
    main()
