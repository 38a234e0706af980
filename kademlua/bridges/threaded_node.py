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

from kademlua.bridges.base import BlockingCalls, BridgedNode
from kademlua.bridges.hub_thread import allocate_lock
from kademlua.bridges.thread_call import ThreadCall, ignore, no_op_call
from kademlua.core.errors import NodeClosed


class ThreadedNode(BridgedNode, BlockingCalls):
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

    def _submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        thread = self._thread
        thread.check_process()
        if thread.is_current:  # one of the node's RPC functions
            return function(self._node, *args, **kwargs)
        return self._wait(thread.submit, ThreadCall(function, (self._node, *args), kwargs, ignore))

    def _shutdown(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        thread = self._thread
        if thread.is_forked:
            return
        if thread.is_current:  # it can't wait for itself
            call = ThreadCall(
                function, (self._node, *args), kwargs, lambda _: thread.stop(no_op_call(ignore))
            )
            thread.submit(call)
            return
        with suppress(NodeClosed):  # by another one's close
            self._submit(function, args, kwargs)
        self._wait(thread.stop, no_op_call(ignore))
        thread.join()

    def _wait(self, schedule: Callable[[ThreadCall], None], call: ThreadCall) -> Any:
        """Hand a call to the thread, and wait until it has ended; its result."""
        hub = get_hub_if_exists()
        if hub is None or hub.loop is None:
            self._block_thread(schedule, call)
        else:
            self._block_greenlet(hub, schedule, call)
        value, error = call.pop_outcome()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # no circle with its traceback

    def _block_thread(self, schedule: Callable[[ThreadCall], None], call: ThreadCall) -> None:
        """Block this thread until the call has ended."""
        done_lock = allocate_lock()
        done_lock.acquire()
        call.on_done = lambda _: done_lock.release()
        try:
            schedule(call)
            done_lock.acquire()
        except BaseException:  # of a signal's handler
            self._thread.cancel(call)
            raise

    def _block_greenlet(
        self, hub: gevent.hub.Hub, schedule: Callable[[ThreadCall], None], call: ThreadCall
    ) -> None:
        """Block this greenlet only."""
        waiter: Waiter[None] = Waiter(hub)
        watcher = hub.loop.async_()
        watcher.start(waiter.switch, None)
        call.on_done = lambda _: watcher.send()
        try:
            schedule(call)
            waiter.get()
        except BaseException:  # a gevent.Timeout, a kill
            call.on_done = ignore
            self._thread.cancel(call)
            raise
        finally:
            watcher.stop()
            watcher.close()
