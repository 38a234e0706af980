"""Time slices: long operations let other greenlets run, so that no datagram waits for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import gevent

SLICE_SECONDS: Final = 0.002
"""Seconds of work after which other greenlets run."""

T = TypeVar("T")


def yield_to_hub() -> None:
    """Let other greenlets run, and the hub poll its sockets.

    ``gevent.sleep(0)`` is not enough: the hub may call 50 callbacks before it polls.
    """
    hub = gevent.get_hub()
    hub.wait(hub.loop.timer(0))


def in_slices(items: Iterable[T], clock: Callable[[], float]) -> Iterator[T]:
    """Yield the items, and let other greenlets run after each 2 ms by ``clock``.

    The caller is a greenlet, and its work on one item is short. In virtual time, which stands still
    meanwhile, no other greenlet runs, so that a simulation stays reproducible.
    """
    started_at = clock()
    for item in items:
        yield item
        if clock() - started_at >= SLICE_SECONDS:
            yield_to_hub()
            started_at = clock()
