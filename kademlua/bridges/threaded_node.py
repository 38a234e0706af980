"""ThreadedNode: a node for programs with threads, or without concurrency."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent

# Returns None if gevent does not run in this thread; ``get_hub`` would start it.
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from kademlua.bridges.base import BridgedNode
from kademlua.bridges.hub_thread import allocate_lock
from kademlua.bridges.object_readers import ThreadedObjectReader
from kademlua.bridges.thread_call import ThreadCall, ignore, no_op
from kademlua.core.errors import NodeClosed
from kademlua.node.node import Node
from kademlua.node.operation import BlockingCalls
from kademlua.objects.reader import ObjectReader


class ThreadedNode(BridgedNode, BlockingCalls):
    """A node in a thread of its own.

    Its operations block the thread that calls them, or only the greenlet if gevent runs in that
    thread. Many threads may call them at the same time. Arguments and operations are those of
    ``Node``.

    >>> with ThreadedNode(bootstrap=[("127.0.0.1", 8001)]) as node:
    ...     node.add(sha1("key"), b"value")
    """

    def __enter__(self) -> ThreadedNode:
        """Start, and wait until the first attempt to join has ended."""
        try:
            self.start()
            self.wait_joined()
        except BaseException:  # __exit__ is not called after an exception here
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open_object(self, key: bytes) -> ThreadedObjectReader:
        """Return an object as a binary file; see ``Node.open_object``."""
        return self._as_reader(self._submit(partial(Node.open_object, self._node, key)))

    def _as_reader(self, opened: ObjectReader) -> ThreadedObjectReader:
        return ThreadedObjectReader(opened, self._submit, self._post)

    def _submit(self, function: Callable[[], Any]) -> Any:
        thread = self._thread
        thread.check_process()
        if thread.is_current:  # one of the node's RPC functions
            return function()
        return self._wait(thread.submit, ThreadCall(function, ignore))

    def _shutdown(self, close: Callable[[], Any]) -> None:
        thread = self._thread
        if thread.is_forked:
            return
        if thread.is_current:  # a thread cannot wait for itself
            thread.submit(ThreadCall(close, lambda _: thread.stop(ThreadCall(no_op, ignore))))
            return
        with suppress(NodeClosed):  # another thread closed the node
            self._submit(close)
        self._wait(thread.stop, ThreadCall(no_op, ignore))
        thread.join()

    def _wait(self, schedule: Callable[[ThreadCall], None], call: ThreadCall) -> Any:
        """Schedule a call, wait for its end and return its result."""
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
            del error  # break the reference cycle with its traceback

    def _block_thread(self, schedule: Callable[[ThreadCall], None], call: ThreadCall) -> None:
        """Block this thread until the call has ended."""
        done_lock = allocate_lock()
        done_lock.acquire()
        call.on_done = lambda _: done_lock.release()
        try:
            schedule(call)
            done_lock.acquire()
        except BaseException:  # raised by a signal handler
            self._thread.cancel(call)
            raise

    def _block_greenlet(
        self, hub: gevent.hub.Hub, schedule: Callable[[ThreadCall], None], call: ThreadCall
    ) -> None:
        """Block only this greenlet until the call has ended."""
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
