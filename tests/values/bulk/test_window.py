"""How many blocks are in flight."""

from __future__ import annotations

from kademlua.values.bulk.window import Flight, Window


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fly(window: Window, clock: Clock, seconds: float, count: int = 1) -> None:
    """Let blocks start together, and end after some seconds."""
    flights = [window.begin() for _ in range(count)]
    clock.now += seconds
    for flight in flights:
        window.end(flight)


def test_window_grows_to_its_maximum_while_blocks_arrive() -> None:
    clock = Clock()
    window = Window(16, clock)
    assert window.size == 4
    fly(window, clock, 0.1, 4)
    assert window.size == 8
    fly(window, clock, 0.1, 100)
    assert window.size == 16
    assert Window(2, clock).size == 2


def test_lost_block_halves_the_window() -> None:
    clock = Clock()
    window = Window(16, clock)
    fly(window, clock, 0.1, 20)
    window.end(window.begin(), is_lost=True)
    assert window.size == 8
    fly(window, clock, 0.1, 8)
    assert window.size == 8  # from now on it grows by one in a whole round
    fly(window, clock, 0.1, 8)
    assert window.size == 9


def test_blocks_that_were_in_flight_together_count_once() -> None:
    clock = Clock()
    window = Window(16, clock)
    fly(window, clock, 0.1, 20)
    flights: list[Flight] = [window.begin() for _ in range(16)]
    for flight in flights:
        window.end(flight, is_lost=True)
    assert window.size == 8
    window.end(window.begin(), is_lost=True)
    assert window.size == 4


def test_slow_block_counts_as_lost() -> None:
    clock = Clock()
    window = Window(16, clock)
    fly(window, clock, 0.1, 20)
    fly(window, clock, 0.6)
    assert window.size == 16
    fly(window, clock, 0.8)
    assert window.size == 8


def test_window_never_closes() -> None:
    clock = Clock()
    window = Window(16, clock)
    for _ in range(10):
        window.end(window.begin(), is_lost=True)
    assert window.size == 1
