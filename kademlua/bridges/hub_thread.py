"""A thread with a hub of its own, to which other threads hand calls.

Threads and locks are the system's, also where the program is monkey-patched by gevent: nothing
here patches, it only asks for what there was before.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gevent
from gevent.event import Event
from gevent.monkey import get_original, is_module_patched

from kademlua.bridges.thread_call import ThreadCall, no_op_call
from kademlua.core.errors import NodeClosed

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_allocate_rlock: Callable[[], Any] = get_original("_thread", "RLock")
_start_new_thread: Callable[..., int] = get_original("_thread", "start_new_thread")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")

_STOP_TIMEOUT = 1.0
"""Seconds for the calls that are under way to end, once what they wait for was closed."""
_EXIT_TIMEOUT = 10.0
"""Seconds for the thread to end when the interpreter does: a node may have to say farewell."""


class HubThread:
    """The thread: begun by the first call, ended by ``stop`` or with the interpreter.

    It is a daemon: it keeps no program from ending. Calls come to it without a lock: a signal's
    handler may interrupt one that is being handed over, and wait for another.
    """

    def __init__(self, name: str, close: Callable[[], None]) -> None:
        """``close`` is called in the thread when it is to end, and lets go of what waits."""
        self._name = name
        self._close = close
        self._pid = os.getpid()
        self._ident = 0
        self._thread: threading.Thread | None = None
        self._start_lock = _allocate_rlock()
        """For beginning."""
        self._is_started = False
        self._failure: NodeClosed | None = None
        """Why it ended of itself."""
        self._is_stopped = False
        """Nothing more is done in it. Who leaves a job looks at this afterwards."""
        self._is_torn_down = False
        """Nothing is left of it. Who leaves an ender looks at this afterwards."""
        self._jobs: deque[tuple[Callable[[ThreadCall], object], ThreadCall]] = deque()
        self._stop_calls: deque[ThreadCall] = deque()
        self._wake: Any = None
        # Of the thread alone:
        self._running: set[ThreadCall] = set()
        self._stop_event: Event | None = None

    # From any thread.

    @property
    def is_forked(self) -> bool:
        """Whether this is another process, in which there is no such thread."""
        return os.getpid() != self._pid

    @property
    def is_current(self) -> bool:
        """Whether this is the thread."""
        return _get_ident() == self._ident

    def check_process(self) -> None:
        """NodeClosed where this is a child of the process to which the thread belongs."""
        if self.is_forked:
            raise NodeClosed(
                f"the node was made by process {self._pid}, before a fork: make one here"
            )

    def submit(self, call: ThreadCall) -> None:
        """Have a call made in the thread; where that is over already, it is made here and now."""
        if not self._is_started:
            self._start()
        self._post(self._spawn_call, call)

    def cancel(self, call: ThreadCall) -> None:
        """End a call for which nobody waits any more; returns at once."""
        self._post(self._kill_call, call)

    def stop(self, call: ThreadCall) -> None:
        """End the thread, which has begun, and all calls in it; ``call`` is made when it is over,
        after all else."""
        self._stop_calls.append(call)
        if self._is_torn_down:
            self._run_stop_calls()
        else:
            self._post(self._set_stop_event, call)

    def join(self) -> None:
        """After ``stop`` has told: wait those microseconds for the system's thread, too."""
        atexit.unregister(self._stop_at_exit)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT)

    def _post(self, job: Callable[[ThreadCall], object], call: ThreadCall) -> None:
        """Leave a job."""
        self._jobs.append((job, call))
        wake = self._wake
        if not self._is_stopped and wake is not None:
            try:
                wake.send()  # costs nothing where one is on its way already
            except ValueError:  # its loop is gone meanwhile
                pass
        if self._is_stopped:
            self._drain_jobs()

    def _drain_jobs(self) -> None:
        """The thread does none of them any more; a closed node has its answers without it."""
        for job, call in _drain(self._jobs):
            if job != self._spawn_call:
                continue
            if self._failure is None:
                call.run()
            else:
                call.fail(self._failure)

    def _run_stop_calls(self) -> None:
        for call in _drain(self._stop_calls):
            call.run()

    def _start(self) -> None:
        with self._start_lock:
            if self._is_started:
                return
            if is_module_patched("threading"):  # its threads are greenlets
                _start_new_thread(self._run, ())
            else:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._is_started = True
        # A daemon that is still at work when the interpreter is torn down can crash it.
        atexit.register(self._stop_at_exit)

    def _stop_at_exit(self) -> None:
        if self.is_forked:
            return
        stopped = allocate_lock()
        stopped.acquire()
        self.stop(no_op_call(lambda _: stopped.release()))
        if stopped.acquire(timeout=_EXIT_TIMEOUT):
            self.join()

    # In the thread.

    def _run(self) -> None:
        self._ident = _get_ident()
        hub = None
        try:
            hub = gevent.get_hub()
            self._serve(hub)
        except BaseException as error:  # no more files for a loop, say
            logger.exception("a node's thread failed")
            self._failure = NodeClosed(f"the node's thread failed: {error}")
            self._close()
        self._is_stopped = True
        self._drain_jobs()
        for call in self._running:
            call.fail(self._failure or NodeClosed("the node is closed"))
        self._running.clear()
        if self._wake is not None:
            self._wake.close()
        if hub is not None:
            hub.destroy(destroy_loop=True)
        self._ident = 0
        self._is_torn_down = True
        self._run_stop_calls()

    def _serve(self, hub: gevent.hub.Hub) -> None:
        """Make calls until the end, and then see to it that they end."""
        stop_event = self._stop_event = Event()
        wake = hub.loop.async_()
        wake.start(self._run_jobs)
        self._wake = wake
        self._run_jobs()  # who left them found nothing to wake
        stop_event.wait()
        self._close()
        gevent.joinall(
            [call.greenlet for call in self._running if call.greenlet], timeout=_STOP_TIMEOUT
        )
        gevent.killall(
            [call.greenlet for call in self._running if call.greenlet], timeout=_STOP_TIMEOUT
        )

    def _run_jobs(self) -> None:
        for job, call in _drain(self._jobs):
            job(call)

    def _spawn_call(self, call: ThreadCall) -> None:
        self._running.add(call)
        call.greenlet = gevent.spawn(self._run_call, call)

    def _run_call(self, call: ThreadCall) -> None:
        try:
            call.run()
        finally:
            call.greenlet = None
            self._running.discard(call)

    def _kill_call(self, call: ThreadCall) -> None:
        if call.greenlet is not None:
            call.greenlet.kill(block=False)
        self._running.discard(call)  # one that did not begin yet does not get to say so

    def _set_stop_event(self, _: ThreadCall) -> None:
        if self._stop_event is not None:
            self._stop_event.set()


def _drain(items: deque[_T]) -> Iterator[_T]:
    """Take one after the other, while others put in and take, too."""
    while True:
        try:
            item = items.popleft()
        except IndexError:
            return
        yield item
