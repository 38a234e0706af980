"""A one-shot timer of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent


class Timer:
    """Calls a function once after a delay. The function runs in the hub and must not block."""

    __slots__ = ("_callback", "_watcher")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._watcher: Any = None

    @property
    def is_running(self) -> bool:
        """Whether the function will be called."""
        return self._watcher is not None

    def start(self, seconds: float) -> None:
        """Call the function in ``seconds``, and not at the time set before."""
        self.stop()
        self._watcher = gevent.get_hub().loop.timer(seconds)
        self._watcher.start(self._fire)

    def stop(self) -> None:
        """Cancel the call; idempotent."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def _fire(self) -> None:
        self.stop()
        self._callback()
