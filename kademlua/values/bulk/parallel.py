"""Running a function for many items, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gevent.pool import Group
from gevent.queue import Queue

_T = TypeVar("_T")
_R = TypeVar("_R")


def run_parallel(
    function: Callable[[_T], _R], items: Iterable[_T], concurrency: Callable[[], int]
) -> Iterator[_R]:
    """Call a function for each item in several greenlets; yield results as they come.

    ``concurrency`` returns how many of them may run now, at least 1.

    The calling greenlet takes the items, and only while there are fewer greenlets. An exception of
    ``items`` or of ``function`` ends all; so does closing the iterator.
    """
    finished: Queue[tuple[_R | None, BaseException | None]] = Queue()

    def run(item: _T) -> None:
        try:
            finished.put((function(item), None))
        except Exception as error:  # raised again in the greenlet that waits
            finished.put((None, error))

    def next_result() -> _R:
        result, error = finished.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # only a failure has none

    greenlets: Group = Group()
    running = 0
    try:
        for item in items:
            greenlets.spawn(run, item)
            running += 1
            while running >= concurrency() or not finished.empty():
                result = next_result()
                running -= 1
                yield result
        for _ in range(running):
            yield next_result()
    finally:
        greenlets.kill()
