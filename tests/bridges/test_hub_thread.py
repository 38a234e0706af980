"""HubThread: calls from other threads, their errors and their end."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
import pytest

from kademlua import NodeClosed
from kademlua.bridges.hub_thread import HubThread
from kademlua.bridges.thread_call import ThreadCall, ignore


class Caller:
    """Submits calls to a thread, and waits for them."""

    def __init__(self, thread: HubThread) -> None:
        self.thread = thread

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        value, error = self.outcome_of(lambda call: self.thread.submit(call), function, *args)
        if error is not None:
            raise error
        return value

    def end(self) -> None:
        self.outcome_of(self.thread.stop, lambda: None)
        self.thread.join()

    def outcome_of(
        self, schedule: Callable[[ThreadCall], None], function: Callable[..., Any], *args: Any
    ) -> Any:
        ended = threading.Event()
        call = ThreadCall(partial(function, *args), lambda _: ended.set())
        schedule(call)
        assert ended.wait(10), "the end of the call was not reported"
        return call.pop_outcome()


@pytest.fixture
def closed() -> list[int]:
    """The idents of threads that called ``close``."""
    return []


@pytest.fixture
def caller(closed: list[int]) -> Iterator[Caller]:
    caller = Caller(HubThread("kademlua-test", lambda: closed.append(threading.get_ident())))
    yield caller
    caller(int)
    caller.end()


def test_all_calls_run_in_one_thread(caller: Caller, closed: list[int]) -> None:
    idents = {caller(threading.get_ident) for _ in range(5)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents
    caller.end()
    assert set(closed) == idents


def test_waiting_call_does_not_delay_others(caller: Caller) -> None:
    done: list[str] = []
    caller.thread.submit(ThreadCall(lambda: gevent.sleep(60), lambda _: done.append("slow")))
    assert caller(lambda: "quick") == "quick"
    assert done == []


def test_errors_reach_the_caller_and_the_thread_continues(caller: Caller) -> None:
    for error in (ValueError("x"), SystemExit(1), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            caller(fail)
    assert caller(lambda: 1) == 1


def test_cancelled_call_ends(caller: Caller) -> None:
    ended = threading.Event()

    def wait() -> None:
        try:
            gevent.sleep(60)
        finally:
            ended.set()

    call = ThreadCall(wait, ignore)
    caller.thread.submit(call)
    caller(gevent.sleep, 0.01)  # the call has started
    caller.thread.cancel(call)
    assert ended.wait(10)


def test_call_cancelled_before_its_start_never_runs(caller: Caller) -> None:
    started: list[int] = []

    def submit_and_cancel() -> None:
        call = ThreadCall(lambda: started.append(1), ignore)
        caller.thread.submit(call)
        caller.thread.cancel(call)

    caller(submit_and_cancel)
    caller(gevent.sleep, 0.01)
    assert started == []


def test_stop_ends_running_calls(caller: Caller) -> None:
    outcome: list[Any] = []
    caller.thread.submit(
        ThreadCall(lambda: gevent.sleep(60), lambda call: outcome.append(call.pop_outcome()))
    )
    caller.end()
    assert isinstance(outcome[0][1], NodeClosed)


def test_calls_run_in_the_submitting_thread_after_stop(caller: Caller) -> None:
    caller(int)
    caller.end()
    assert caller(threading.get_ident) == threading.get_ident()
    caller.end()


def test_failed_thread_fails_waiting_calls_with_its_reason(closed: list[int], caplog: Any) -> None:
    class Failing(HubThread):
        def _serve(self, hub: gevent.hub.Hub) -> None:
            raise OSError("no more files")

    caller = Caller(Failing("kademlua-failing", lambda: closed.append(1)))
    for _ in range(2):
        with pytest.raises(NodeClosed, match="failed: no more files"):
            caller(int)
    assert closed
    assert "a node's thread failed" in caplog.text
    caller.end()


def test_failed_thread_start_is_retried(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start"):
            caller(int)
    assert caller(lambda: 1) == 1
