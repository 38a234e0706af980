"""Guard: runs the steps of a background task so that no failure ends the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.runtime.safe_logger import SafeLogger

_T = TypeVar("_T")

_REPORT_INTERVAL: Final = 600.0
"""Seconds between two tracebacks of the same step, at least."""


class Guard:
    """Runs functions, and logs their failures instead of raising them."""

    __slots__ = ("_clock", "_log", "_reported_at")

    def __init__(self, log: SafeLogger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._reported_at: dict[str, float] = {}
        """When the failure of a step was last logged, by name."""

    def run(self, name: str, step: Callable[[], _T]) -> _T | None:
        """Return the result of a step, or None if it failed.

        ``name`` says in the log what failed. A step that fails again and again is logged every
        ten minutes.

        Raises:
            NodeClosed: the node is closed, so that the task must end.
        """
        try:
            return step()
        except NodeClosed:
            raise
        except KademluaError as error:  # such as too many calls in flight: the next round retries
            self._log.info("%s postponed: %s", name, error)
        except Exception:
            self._report(name)
        return None

    def _report(self, name: str) -> None:
        now = self._clock()
        if now - self._reported_at.get(name, now - _REPORT_INTERVAL) >= _REPORT_INTERVAL:
            self._reported_at[name] = now
            self._log.exception("%s failed", name)
