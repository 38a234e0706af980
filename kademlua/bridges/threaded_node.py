"""``ThreadedNode``: a node for programs with threads, or with nothing of the kind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import gevent

# Whether gevent is at work in this thread. ``get_hub`` would answer by beginning it.
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from kademlua.bridges.base import Blocks, HostedNode
from kademlua.bridges.hub_thread import allocate_lock
from kademlua.bridges.thread_call import Call, idle, nobody
from kademlua.core.errors import NodeClosed


class ThreadedNode(HostedNode, Blocks):
    """A node in a thread of its own. Its calls block the thread that makes them, and may be
    made from many at once; in a thread in which gevent is at work only the greenlet.

    Arguments and operations are those of ``Node``.

    >>> with ThreadedNode(bootstrap=[("127.0.0.1", 8001)]) as node:
    ...     node.add(sha1("key"), b"value")
    """

    def __enter__(self) -> ThreadedNode:
        """Start, and wait for the first try to join."""
        try:
            self.start()
            self.wait_joined()
        except BaseException:  # __exit__ is not called where this raises
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hand_over(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        thread = self._thread
        thread.check_process()
        if thread.is_current:  # one of the node's RPC functions
            return function(self._node, *args, **kwargs)
        return self._wait(thread.submit, Call(function, (self._node, *args), kwargs, nobody))

    def _finish(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        thread = self._thread
        if thread.is_forked:
            return
        if thread.is_current:  # it can't wait for itself
            call = Call(function, (self._node, *args), kwargs, lambda _: thread.end(idle(nobody)))
            thread.submit(call)
            return
        with suppress(NodeClosed):  # by another one's close
            self._hand_over(function, args, kwargs)
        self._wait(thread.end, idle(nobody))
        thread.join()

    def _wait(self, hand: Callable[[Call], None], call: Call) -> Any:
        """Hand a call to the thread, and wait until it has ended; its result."""
        hub = get_hub_if_exists()
        if hub is None or hub.loop is None:
            self._block(hand, call)
        else:
            self._switch(hub, hand, call)
        value, error = call.take()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # no circle with its traceback

    def _block(self, hand: Callable[[Call], None], call: Call) -> None:
        """Block this thread until the call has ended."""
        ended = allocate_lock()
        ended.acquire()
        call.done = lambda _: ended.release()
        try:
            hand(call)
            ended.acquire()
        except BaseException:  # of a signal's handler
            self._thread.cancel(call)
            raise

    def _switch(self, hub: gevent.hub.Hub, hand: Callable[[Call], None], call: Call) -> None:
        """Block this greenlet only."""
        waiter: Waiter[None] = Waiter(hub)
        watcher = hub.loop.async_()
        watcher.start(waiter.switch, None)
        call.done = lambda _: watcher.send()
        try:
            hand(call)
            waiter.get()
        except BaseException:  # a gevent.Timeout, a kill
            call.done = nobody
            self._thread.cancel(call)
            raise
        finally:
            watcher.stop()
            watcher.close()
