"""Worker processes on a machine that allows no further thread."""

from __future__ import annotations

import multiprocessing.queues
from typing import NoReturn

import pytest

from netsounds_stream.base.progress import Stop
from netsounds_stream.batches import pool
from netsounds_stream.errors import WorkerError

pytestmark = pytest.mark.process


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_items_that_reach_no_process_fail_and_the_next_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """`concurrent.futures` starts a thread where it cannot tell anybody that this failed."""

    def refuse(_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    found = []
    with pool.started(1, 1) as processes, monkeypatch.context() as patch:
        patch.setattr(multiprocessing.queues.Queue, "_start_thread", refuse)
        for _, outcome in processes.as_completed(abs, [-1, -2, -3], name="abs", stop=Stop()):
            found.append(outcome)
            if len(found) == 2:
                patch.undo()
    assert isinstance(found[0], WorkerError) and "ulimit -u" in str(found[0])
    assert isinstance(found[1], WorkerError) and found[2] == 3
