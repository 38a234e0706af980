"""HubThread: a thread with a gevent hub, to which other threads submit calls.

Threads and locks are the system's, even in a program that gevent has monkey-patched. Nothing here
patches; it only asks for the originals.
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

from kademlua.bridges.thread_call import ThreadCall, no_op
from kademlua.core.errors import NodeClosed

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_allocate_rlock: Callable[[], Any] = get_original("_thread", "RLock")
_start_new_thread: Callable[..., int] = get_original("_thread", "start_new_thread")
_get_ident: Callable[[], int] = get_original("_thread", "get_ident")

_STOP_TIMEOUT = 1.0
"""Seconds for running calls to end after ``close`` was called."""
_EXIT_TIMEOUT = 10.0
"""Seconds for the thread to end at interpreter exit: a node may have to hand over values."""


class HubThread:
    """A thread, started by the first call and ended by ``stop`` or with the interpreter.

    It is a daemon, so it does not keep a program alive. Submitting takes no lock: a signal handler
    may interrupt a submission, and submit another call.
    """

    def __init__(self, name: str, close: Callable[[], None]) -> None:
        """Prepare the thread; ``close`` is called in it at its end, and must release waiting
        calls."""
        self._name = name
        self._close = close
        self._pid = os.getpid()
        self._ident = 0
        self._thread: threading.Thread | None = None
        self._start_lock = _allocate_rlock()
        """Guards the start."""
        self._is_started = False
        self._failure: NodeClosed | None = None
        """Why the thread ended by itself."""
        self._is_stopped = False
        """Whether the thread runs no more jobs. A submitter checks it after adding a job."""
        self._is_torn_down = False
        """Whether the thread has ended. A caller of ``stop`` checks it after adding a callback."""
        self._jobs: deque[tuple[Callable[[ThreadCall], object], ThreadCall]] = deque()
        self._stop_calls: deque[ThreadCall] = deque()
        self._wake: Any = None
        # Of the thread alone:
        self._running: set[ThreadCall] = set()
        self._stop_event: Event | None = None

    # From any thread

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked process, in which the thread does not exist."""
        return os.getpid() != self._pid

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in the thread."""
        return _get_ident() == self._ident

    def check_process(self) -> None:
        """Raise NodeClosed in a forked child of the thread's process."""
        if self.is_forked:
            raise NodeClosed(
                f"the node belongs to process {self._pid}; after a fork, make a new node"
            )

    def submit(self, call: ThreadCall) -> None:
        """Run a call in the thread, or here if the thread has ended."""
        if not self._is_started:
            self._start()
        self._post(self._spawn_call, call)

    def cancel(self, call: ThreadCall) -> None:
        """End a call that nothing waits for; returns immediately."""
        self._post(self._kill_call, call)

    def stop(self, call: ThreadCall) -> None:
        """End the started thread and all its calls; ``call`` runs after everything else."""
        self._stop_calls.append(call)
        if self._is_torn_down:
            self._run_stop_calls()
        else:
            self._post(self._set_stop_event, call)

    def join(self) -> None:
        """Wait for the system's thread, after ``stop`` has reported."""
        atexit.unregister(self._stop_at_exit)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT)

    def _post(self, job: Callable[[ThreadCall], object], call: ThreadCall) -> None:
        """Add a job."""
        self._jobs.append((job, call))
        wake = self._wake
        if not self._is_stopped and wake is not None:
            try:
                wake.send()  # no effect if the hub was woken already
            except ValueError:  # its loop has ended
                pass
        if self._is_stopped:
            self._drain_jobs()

    def _drain_jobs(self) -> None:
        """Run remaining jobs here, since the thread no longer does; a closed node answers without
        it."""
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
        self.stop(ThreadCall(no_op, lambda _: stopped.release()))
        if stopped.acquire(timeout=_EXIT_TIMEOUT):
            self.join()

    # In the thread

    def _run(self) -> None:
        self._ident = _get_ident()
        hub = None
        try:
            hub = gevent.get_hub()
            self._serve(hub)
        except BaseException as error:  # for example no file descriptor for a loop
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
        """Run calls until the end, then end those that remain."""
        stop_event = self._stop_event = Event()
        wake = hub.loop.async_()
        wake.start(self._run_jobs)
        self._wake = wake
        self._run_jobs()  # their submitters found no hub to wake
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
        self._running.discard(call)  # a call that did not start cannot do it

    def _set_stop_event(self, _: ThreadCall) -> None:
        if self._stop_event is not None:
            self._stop_event.set()


def _drain(items: deque[_T]) -> Iterator[_T]:
    """Yield and remove items, while others are added and removed."""
    while True:
        try:
            item = items.popleft()
        except IndexError:
            return
        yield item
