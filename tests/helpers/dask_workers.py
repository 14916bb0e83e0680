"""A scheduler, and workers as they are begun: of the command's versions, or of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from distributed import Client

from tests.helpers.reference import ROOT

OTHER = "0.0.9"


class Begun:
    """A scheduler, and workers as they are begun: of the command's versions, or of another."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "scheduler.json"
        other = folder / "other" / f"netsounds_stream-{OTHER}.dist-info"  # found before the true one
        other.mkdir(parents=True)
        (other / "METADATA").write_text(f"Metadata-Version: 2.1\nName: netsounds-stream\nVersion: {OTHER}\n")
        self._log = (folder / "log").open("wb")
        self.processes: list[subprocess.Popen[bytes]] = []
        self._begin("dask_scheduler", str(ROOT), "--host", "127.0.0.1", "--port", "0")

    def worker(self, *, other: bool = False) -> None:
        path = f"{self._folder / 'other'}{os.pathsep}{ROOT}" if other else str(ROOT)
        self._begin("dask_worker", path, "--nthreads", "1", "--no-nanny", "--memory-limit", "0")

    def _begin(self, what: str, path: str, *words: str) -> None:
        common = ("--no-dashboard", "--scheduler-file", str(self._file))
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{what}", *words, *common],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": path},
                stdout=self._log,
                stderr=self._log,
            )
        )

    def address(self, workers: int) -> str:
        """When it has so many workers."""
        with Client(scheduler_file=str(self._file), timeout="60s") as client:
            client.wait_for_workers(workers, timeout=60)
        return str(json.loads(self._file.read_text())["address"])
