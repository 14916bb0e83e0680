"""The worker pipeline: order kept at every stage, work shared, errors and interruption come out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from netsounds_stream.base.pipeline import Pipeline, ahead


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_every_station_sees_the_items_in_order(workers: int) -> None:
    seen: list[list[int]] = [[], [], []]

    def stage(place: int) -> object:
        def step(item: int) -> int:
            seen[place].append(item)
            return item

        return step

    Pipeline(workers).run(range(50), lambda item: item, [stage(place) for place in range(3)])  # type: ignore[misc]
    assert seen == [list(range(50))] * 3


def test_items_overlap_across_stations_but_never_at_one() -> None:
    """Item 1 must be at the first station while item 0 is at the second, or this would never end."""
    both = threading.Barrier(2, timeout=20)
    busy = threading.Lock()

    def first(item: int) -> int:
        assert busy.acquire(blocking=False)
        if item == 1:
            both.wait()
        busy.release()
        return item

    def second(item: int) -> int:
        if item == 0:
            both.wait()
        return item

    Pipeline(2).run(range(2), lambda item: item, [first, second])


def test_no_more_items_are_alive_than_workers() -> None:
    alive = most = 0
    lock = threading.Lock()

    def begin(item: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return item

    def end(item: int) -> int:
        nonlocal alive
        with lock:
            alive -= 1
        return item

    Pipeline(3).run(range(100), begin, [lambda item: item, end])
    assert alive == 0
    assert 1 <= most <= 3


def test_errands_are_all_done_also_the_last_items() -> None:
    pipeline, done = Pipeline(2), []
    pipeline.run(range(20), lambda item: item, [lambda item: pipeline.defer(lambda: done.append(item))])
    assert sorted(done) == list(range(20))


@pytest.mark.parametrize("where", ["items", "first", "stage", "deferred"])
def test_an_error_stops_the_rest_and_comes_out(where: str) -> None:
    pipeline, reached = Pipeline(2), []

    def fail(here: str, item: int) -> int:
        if here == where and item == 7:
            raise ValueError(f"in {here}")
        return item

    def items() -> Iterator[int]:
        for item in range(10_000):
            yield fail("items", item)

    def last(item: int) -> None:
        reached.append(item)
        pipeline.defer(lambda: fail("deferred", item) and None)

    with pytest.raises(ValueError, match=f"in {where}"):
        pipeline.run(items(), lambda item: fail("first", item), [lambda item: fail("stage", item), last])
    assert len(reached) < 100


def test_ahead_gives_the_same_items() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))


def test_a_strained_line_narrows_down_to_one() -> None:
    alive, most = 0, {}
    lock = threading.Lock()
    calls = iter([False] * 20 + [True] + [False] * 20 + [True] * 5 + [False] * 1000)

    def begin(item: int) -> int:
        nonlocal alive
        with lock:
            alive += 1
            most[item] = alive
        return item

    def end(item: int) -> None:
        nonlocal alive
        with lock:
            alive -= 1

    pipeline = Pipeline(3, under_pressure=lambda: next(calls))
    pipeline.run(range(200), begin, [lambda item: item, end])
    assert pipeline.in_flight == 1
    assert sorted(most) == list(range(200))
    assert max(most[item] for item in range(60, 200)) == 1
