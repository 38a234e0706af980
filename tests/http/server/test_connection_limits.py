"""Connections: how many, how long, and who has to go."""

from __future__ import annotations

import pytest

from kademlua.http.server.connection_limits import (
    BUSY_SECONDS,
    SPARED_SECONDS,
    WAITING_SECONDS,
    Connections,
)


class Fake:
    """A connection that notes that it was ended."""

    def __init__(self) -> None:
        self.is_ended = False

    def hang_up(self) -> None:
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


def entered(connections: Connections, count: int) -> list[Fake]:
    fakes = [Fake() for _ in range(count)]
    assert all(map(connections.enter, fakes))
    return fakes


def test_one_too_many_ends_the_one_that_waits_longest(clock):
    connections = Connections(3, clock)
    first, second, _ = entered(connections, 3)
    connections.works(first)
    entered(connections, 1)
    assert (first.is_ended, second.is_ended) == (False, True)
    assert (len(connections), connections.ended_early) == (3, 1)


def test_who_waits_again_waits_from_then_on(clock):
    connections = Connections(2, clock)
    first, second = entered(connections, 2)
    connections.works(first)
    connections.waits(first)
    entered(connections, 1)
    assert (first.is_ended, second.is_ended) == (False, True)


def test_answers_in_the_making_are_spared_for_a_while(clock):
    connections = Connections(2, clock)
    working = entered(connections, 2)
    for each in working:
        connections.works(each)
    assert not connections.enter(Fake())
    clock.now += SPARED_SECONDS + 1
    assert connections.enter(Fake())
    assert [each.is_ended for each in working] == [True, False]


def test_streams_are_never_ended_for_another(clock):
    connections = Connections(1, clock)
    (stream,) = entered(connections, 1)
    connections.works(stream)
    connections.lasts(stream)
    clock.now += 1_000
    connections.sweep()
    assert not connections.enter(Fake())
    assert not stream.is_ended
    connections.leave(stream)
    assert connections.enter(Fake())


def test_waiting_and_working_end_in_time(clock):
    connections = Connections(9, clock)
    waiting, working = entered(connections, 2)
    connections.works(working)
    clock.now += WAITING_SECONDS - 1
    connections.sweep()
    assert not waiting.is_ended
    (late,) = entered(connections, 1)
    clock.now += 2
    connections.sweep()
    assert (waiting.is_ended, working.is_ended, late.is_ended) == (True, False, False)
    clock.now += BUSY_SECONDS
    connections.sweep()
    assert working.is_ended
    assert len(connections) == 0


def test_the_end_ends_all(clock):
    connections = Connections(9, clock)
    waiting, working, stream = entered(connections, 3)
    connections.works(working)
    connections.works(stream)
    connections.lasts(stream)
    connections.close()
    assert waiting.is_ended
    assert working.is_ended
    assert stream.is_ended
