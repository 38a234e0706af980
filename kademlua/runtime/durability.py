"""Waiting until changes of a store outlive the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gevent.event import AsyncResult


class Durable(Protocol):
    """A store that reports when its changes are durable."""

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None, or with the reason why the changes were lost."""


def wait_durable(store: Durable) -> str | None:
    """Block this greenlet until all changes so far are durable.

    Return None, or the reason why they were lost.
    """
    result: AsyncResult[str | None] = AsyncResult()
    store.when_durable(result.set)
    return result.get()
