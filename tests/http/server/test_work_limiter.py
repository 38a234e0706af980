"""The turnstile: so much work in a turn of the loop, and nobody forgotten."""

from __future__ import annotations

import gevent
import pytest

from kademlua.http.server.work_limiter import WorkLimiter


class Clock:
    """Each look at it takes as long as a test says."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def counted():
    """Counts the turns of the loop."""
    turns = [0]
    watcher = gevent.get_hub().loop.prepare()
    watcher.start(lambda: turns.__setitem__(0, turns[0] + 1))
    yield turns
    watcher.stop()
    watcher.close()


def test_all_pass_in_their_order(counted):
    turnstile = WorkLimiter(budget=2.5, clock=Clock(1.0))
    order: list[int] = []
    at: list[int] = []

    def work(number: int) -> None:
        turnstile.acquire()
        order.append(number)
        at.append(counted[0])

    gevent.joinall([gevent.spawn(work, number) for number in range(10)], raise_error=True)
    assert order == list(range(10))
    # Three in each turn: their budget is over when the third has been let in.
    assert max(at.count(turn) for turn in at) == 3
    assert len(turnstile) == 0
    turnstile.close()


def test_one_that_was_killed_is_not_waited_for():
    turnstile = WorkLimiter()
    greenlet = gevent.spawn(turnstile.acquire)
    gevent.sleep(0)
    greenlet.kill()
    assert len(turnstile) == 0
    gevent.spawn(turnstile.acquire).join(timeout=5)
    assert len(turnstile) == 0
    turnstile.close()


def test_the_end_lets_all_through():
    turnstile = WorkLimiter(budget=0.0, clock=Clock(1.0))
    waiting = [gevent.spawn(turnstile.acquire) for _ in range(5)]
    gevent.sleep(0)
    gevent.spawn(turnstile.close)
    assert len(gevent.joinall(waiting, timeout=5)) == 5
    turnstile.close()


def test_while_nobody_waits_the_loop_sleeps(counted):
    turnstile = WorkLimiter()
    turnstile_user = gevent.spawn(turnstile.acquire)
    turnstile_user.join()
    before = counted[0]
    gevent.sleep(0.05)
    assert counted[0] - before < 10
    turnstile.close()
