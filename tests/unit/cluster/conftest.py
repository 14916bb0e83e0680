"""Dask processes that tests begin one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.dask_workers import Begun


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Begun]:
    made = Begun(tmp_path)
    try:
        yield made
    finally:
        for each in made.processes:
            each.kill()  # asked to end, a worker may wait for its scheduler
            each.wait()
