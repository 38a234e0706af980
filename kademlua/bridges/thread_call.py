"""A call that one thread hands to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import Greenlet, GreenletExit

from kademlua.core.errors import NodeClosed


class ThreadCall:
    """A function to be called in the thread, and then what came of it."""

    __slots__ = ("_args", "_error", "_function", "_kwargs", "_value", "greenlet", "on_done")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        on_done: Callable[[ThreadCall], object],
    ) -> None:
        """``on_done`` is called when the call has ended; in the thread, so it must not block."""
        self._function, self._args, self._kwargs, self.on_done = function, args, kwargs, on_done
        self._value: Any = None
        self._error: BaseException | None = None
        self.greenlet: Greenlet[..., Any] | None = None

    def run(self) -> None:
        """Call the function, and tell."""
        try:
            self._value = self._function(*self._args, **self._kwargs)
        except GreenletExit:  # the caller went away, or the thread ends
            self._error = NodeClosed("the node is closed")
        except BaseException as error:  # whatever it is, it is the caller's
            self._error = error
        self.on_done(self)

    def fail(self, error: BaseException) -> None:
        """End without having been made."""
        self._error = error
        self.on_done(self)

    def pop_outcome(self) -> tuple[Any, BaseException | None]:
        """What it returned, and what it raised; once: the error's traceback knows this call."""
        error, self._error = self._error, None
        return self._value, error


def ignore(_: ThreadCall) -> None:
    """Whom to tell of a call for which nobody waits."""


def no_op_call(on_done: Callable[[ThreadCall], object]) -> ThreadCall:
    """A call of nothing: it only tells when it would be its turn."""
    return ThreadCall(_no_op, (), {}, on_done)


def _no_op() -> None:
    pass
