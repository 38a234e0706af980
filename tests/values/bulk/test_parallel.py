"""Running a function for many items, some at a time."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from kademlua.values.bulk.parallel import run_parallel
from tests.support.world import World


def test_results_come_as_they_are_ready(world: World) -> None:
    def wait(seconds: int) -> int:
        gevent.sleep(seconds)
        return seconds

    started_at = world.now
    assert list(run_parallel(wait, [3, 1, 2], lambda: 3)) == [1, 2, 3]
    assert world.now - started_at == 3


def test_items_are_taken_only_when_they_are_needed(world: World) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = run_parallel(lambda number: gevent.sleep(1) or number, items(), lambda: 4)
    next(results)
    assert len(taken) <= 5
    results.close()  # type: ignore[attr-defined]
    gevent.sleep(10)
    assert len(taken) <= 5


def test_exceptions_end_all(world: World) -> None:
    done: list[int] = []

    def fail(number: int) -> None:
        gevent.sleep(number)
        if number == 2:
            raise OSError("no")
        done.append(number)

    with pytest.raises(OSError, match="no"):
        list(run_parallel(fail, [1, 2, 3], lambda: 3))
    gevent.sleep(5)
    assert done == [1]


def test_no_items() -> None:
    assert list(run_parallel(str, [], lambda: 3)) == []
