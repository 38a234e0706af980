"""Time slices: when a long loop lets other greenlets run."""

from __future__ import annotations

import itertools

import gevent
import gevent.socket

from kademlua.runtime.time_slices import SLICE_SECONDS, in_slices


def test_sockets_are_polled_after_each_slice() -> None:
    near, far = gevent.socket.socketpair()
    received: list[int] = []

    def receive() -> None:
        while True:
            gevent.socket.wait_read(far.fileno())
            received.append(far.recv(1)[0])

    receiver = gevent.spawn(receive)
    times = itertools.count(0, SLICE_SECONDS)  # one slice passes from one reading to the next
    for number in in_slices(range(9), lambda: next(times)):
        assert len(received) >= number - 1  # the one that has just been sent may be read next
        near.send(bytes([number]))
    receiver.kill()
    near.close()
    far.close()


def test_nothing_else_runs_while_the_clock_stands() -> None:
    others: list[int] = []
    other = gevent.spawn(others.append, 1)
    assert list(in_slices(range(1_000), lambda: 0.0)) == list(range(1_000))
    assert others == []
    other.join()
