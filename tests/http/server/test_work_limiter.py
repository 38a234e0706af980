"""WorkLimiter: the work per iteration of the event loop is limited, and all waiters get a turn."""

from __future__ import annotations

import gevent
import pytest

from kademlua.http.server.work_limiter import WorkLimiter


class Clock:
    """A clock that advances by ``step`` at each reading."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def iterations():
    """Count the iterations of the event loop."""
    count = [0]
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(lambda: count.__setitem__(0, count[0] + 1))
    yield count
    watcher.stop()
    watcher.close()


def test_waiters_pass_in_order_and_within_the_budget(iterations):
    limiter = WorkLimiter(budget=2.5, clock=Clock(1.0))
    order: list[int] = []
    at: list[int] = []

    def work(number: int) -> None:
        limiter.acquire()
        order.append(number)
        at.append(iterations[0])

    gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
    assert order == list(range(10))
    # Three per iteration: the budget is used up when the third one was admitted.
    assert max(at.count(iteration) for iteration in at) == 3
    assert len(limiter) == 0
    limiter.close()


def test_killed_greenlet_leaves_the_queue():
    limiter = WorkLimiter()
    greenlet = gevent.spawn(limiter.acquire)
    gevent.sleep(0)
    greenlet.kill()
    assert len(limiter) == 0
    gevent.spawn(limiter.acquire).join(timeout=5)
    assert len(limiter) == 0
    limiter.close()


def test_close_lets_all_waiters_pass():
    limiter = WorkLimiter(budget=0.0, clock=Clock(1.0))
    waiting = [gevent.spawn(limiter.acquire) for _ in range(5)]
    gevent.sleep(0)
    gevent.spawn(limiter.close)
    assert len(gevent.joinall(waiting, timeout=5)) == 5
    limiter.close()


def test_loop_sleeps_without_waiters(iterations):
    limiter = WorkLimiter()
    user = gevent.spawn(limiter.acquire)
    user.join()
    before = iterations[0]
    gevent.sleep(0.05)
    assert iterations[0] - before < 10
    limiter.close()
