"""Limits on connections: their number, their time, and which one is aborted for a new one."""

from __future__ import annotations

import pytest

from kademlua.http.server.connection_limits import (
    BUSY_TIMEOUT,
    IDLE_TIMEOUT,
    MIN_BUSY_SECONDS,
    MIN_IDLE_SECONDS,
    ConnectionLimiter,
)


class FakeConnection:
    """A connection that records whether it was aborted."""

    is_receiving = True

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(connections: ConnectionLimiter, count: int) -> list[FakeConnection]:
    fakes = [FakeConnection() for _ in range(count)]
    assert all(map(connections.admit, fakes))
    return fakes


def test_new_connection_replaces_the_one_that_waited_longest_for_its_client(clock):
    connections = ConnectionLimiter(3, clock)
    first, second, _ = admitted(connections, 3)
    connections.set_busy(first)
    clock.now += MIN_IDLE_SECONDS
    admitted(connections, 1)
    assert (first.is_aborted, second.is_aborted) == (False, True)
    assert (len(connections), connections.aborted) == (3, 1)


def test_new_connection_waits_while_all_clients_are_quick(clock):
    connections = ConnectionLimiter(1, clock)
    (first,) = admitted(connections, 1)
    assert connections.is_full
    assert not connections.admit(FakeConnection())
    connections.remove(first)
    assert connections.admit(FakeConnection())
    assert connections.aborted == 0


def test_received_request_that_waits_for_its_turn_is_not_aborted(clock):
    connections = ConnectionLimiter(1, clock)
    (queued,) = admitted(connections, 1)
    queued.is_receiving = False
    clock.now += IDLE_TIMEOUT - 1
    assert not connections.admit(FakeConnection())
    assert not queued.is_aborted


def test_waiting_time_starts_again_after_each_reply(clock):
    connections = ConnectionLimiter(2, clock)
    first, second = admitted(connections, 2)
    connections.set_busy(first)
    connections.set_idle(first)
    clock.now += MIN_IDLE_SECONDS
    admitted(connections, 1)
    assert (first.is_aborted, second.is_aborted) == (False, True)


def test_busy_connection_is_aborted_only_after_ten_seconds(clock):
    connections = ConnectionLimiter(2, clock)
    busy = admitted(connections, 2)
    for each in busy:
        connections.set_busy(each)
    assert not connections.admit(FakeConnection())
    clock.now += MIN_BUSY_SECONDS + 1
    assert connections.admit(FakeConnection())
    assert [each.is_aborted for each in busy] == [True, False]


def test_stream_is_never_aborted_for_a_new_connection(clock):
    connections = ConnectionLimiter(1, clock)
    (stream,) = admitted(connections, 1)
    connections.set_busy(stream)
    connections.set_streaming(stream)
    clock.now += 1_000
    connections.abort_overdue()
    assert not connections.admit(FakeConnection())
    assert not stream.is_aborted
    connections.remove(stream)
    assert connections.admit(FakeConnection())


def test_overdue_connections_are_aborted(clock):
    connections = ConnectionLimiter(9, clock)
    idle, busy = admitted(connections, 2)
    connections.set_busy(busy)
    clock.now += IDLE_TIMEOUT - 1
    connections.abort_overdue()
    assert not idle.is_aborted
    (late,) = admitted(connections, 1)
    clock.now += 2
    connections.abort_overdue()
    assert (idle.is_aborted, busy.is_aborted, late.is_aborted) == (True, False, False)
    clock.now += BUSY_TIMEOUT
    connections.abort_overdue()
    assert busy.is_aborted
    assert len(connections) == 0


def test_close_aborts_all_connections(clock):
    connections = ConnectionLimiter(9, clock)
    idle, busy, stream = admitted(connections, 3)
    connections.set_busy(busy)
    connections.set_busy(stream)
    connections.set_streaming(stream)
    connections.close()
    assert idle.is_aborted
    assert busy.is_aborted
    assert stream.is_aborted
