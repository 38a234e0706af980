"""ThreadCall: a call that one thread submits to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import Greenlet, GreenletExit

from kademlua.core.errors import NodeClosed


class ThreadCall:
    """A function to call in the thread, and its outcome."""

    __slots__ = ("_error", "_function", "_value", "greenlet", "on_done")

    def __init__(
        self, function: Callable[[], Any], on_done: Callable[[ThreadCall], object]
    ) -> None:
        """Prepare a call; ``on_done`` is called in the thread at its end, and must not block."""
        self._function, self.on_done = function, on_done
        self._value: Any = None
        self._error: BaseException | None = None
        self.greenlet: Greenlet[..., Any] | None = None

    def run(self) -> None:
        """Call the function and report its end."""
        try:
            self._value = self._function()
        except GreenletExit:  # cancelled, or the thread ends
            self._error = NodeClosed("the node is closed")
        except BaseException as error:  # every error is the caller's
            self._error = error
        self.on_done(self)

    def fail(self, error: BaseException) -> None:
        """End the call with an error, without calling the function."""
        self._error = error
        self.on_done(self)

    def pop_outcome(self) -> tuple[Any, BaseException | None]:
        """Return the result and the error, once: the error's traceback refers to this call."""
        error, self._error = self._error, None
        return self._value, error


def no_op() -> None:
    """Do nothing."""


def ignore(_: ThreadCall) -> None:
    """Ignore the end of a call."""
