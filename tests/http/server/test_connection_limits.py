"""Connections: how many, how long, and who has to go."""

from __future__ import annotations

import pytest

from kademlua.http.server.connection_limits import (
    BUSY_TIMEOUT,
    IDLE_TIMEOUT,
    MIN_BUSY_SECONDS,
    ConnectionLimiter,
)


class Fake:
    """A connection that notes that it was ended."""

    def __init__(self) -> None:
        self.is_ended = False

    def abort(self) -> None:
        self.is_ended = True


class Clock:
    """Time as a test sets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def entered(connections: ConnectionLimiter, count: int) -> list[Fake]:
    fakes = [Fake() for _ in range(count)]
    assert all(map(connections.admit, fakes))
    return fakes


def test_one_too_many_ends_the_one_that_waits_longest(clock):
    connections = ConnectionLimiter(3, clock)
    first, second, _ = entered(connections, 3)
    connections.set_busy(first)
    entered(connections, 1)
    assert (first.is_ended, second.is_ended) == (False, True)
    assert (len(connections), connections.aborted) == (3, 1)


def test_who_waits_again_waits_from_then_on(clock):
    connections = ConnectionLimiter(2, clock)
    first, second = entered(connections, 2)
    connections.set_busy(first)
    connections.set_idle(first)
    entered(connections, 1)
    assert (first.is_ended, second.is_ended) == (False, True)


def test_answers_in_the_making_are_spared_for_a_while(clock):
    connections = ConnectionLimiter(2, clock)
    working = entered(connections, 2)
    for each in working:
        connections.set_busy(each)
    assert not connections.admit(Fake())
    clock.now += MIN_BUSY_SECONDS + 1
    assert connections.admit(Fake())
    assert [each.is_ended for each in working] == [True, False]


def test_streams_are_never_ended_for_another(clock):
    connections = ConnectionLimiter(1, clock)
    (stream,) = entered(connections, 1)
    connections.set_busy(stream)
    connections.set_streaming(stream)
    clock.now += 1_000
    connections.abort_overdue()
    assert not connections.admit(Fake())
    assert not stream.is_ended
    connections.remove(stream)
    assert connections.admit(Fake())


def test_waiting_and_working_end_in_time(clock):
    connections = ConnectionLimiter(9, clock)
    waiting, working = entered(connections, 2)
    connections.set_busy(working)
    clock.now += IDLE_TIMEOUT - 1
    connections.abort_overdue()
    assert not waiting.is_ended
    (late,) = entered(connections, 1)
    clock.now += 2
    connections.abort_overdue()
    assert (waiting.is_ended, working.is_ended, late.is_ended) == (True, False, False)
    clock.now += BUSY_TIMEOUT
    connections.abort_overdue()
    assert working.is_ended
    assert len(connections) == 0


def test_the_end_ends_all(clock):
    connections = ConnectionLimiter(9, clock)
    waiting, working, stream = entered(connections, 3)
    connections.set_busy(working)
    connections.set_busy(stream)
    connections.set_streaming(stream)
    connections.close()
    assert waiting.is_ended
    assert working.is_ended
    assert stream.is_ended
