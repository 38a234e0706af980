"""A heap that is rid of obsolete rows, with a bounded amount of work for each push."""

from __future__ import annotations

from random import Random

from kademlua.core.values.swept_heap import SweptHeap


class Rows:
    """A heap of which some rows are current, and how many were examined."""

    def __init__(self) -> None:
        self.current: set[bytes] = set()
        self.examined_count = 0
        self.heap: SweptHeap[bytes] = SweptHeap(self.is_current, lambda: len(self.current))

    def is_current(self, row: bytes) -> bool:
        self.examined_count += 1
        return row in self.current

    def push(self, number: int) -> None:
        row = number.to_bytes(4, "big")
        self.current.add(row)
        self.heap.push(row)


def test_pops_the_lowest_row_first_while_it_is_swept() -> None:
    rows, rng = Rows(), Random(1)
    numbers = rng.sample(range(100_000), 2_000)
    for number in numbers:
        rows.push(number)
        if rng.random() < 0.7:
            rows.current.discard(rng.choice(sorted(rows.current)[:50]))
    popped: list[bytes] = []
    while (first := rows.heap.first) is not None:
        assert rows.heap.pop() == first
        popped.append(first)
    assert popped == sorted(popped)
    assert rows.current <= set(popped)
    assert rows.heap.pop() is None


def test_no_push_examines_many_rows() -> None:
    rows = Rows()
    for number in range(10_000):
        rows.push(number)
    rows.current.clear()
    for number in range(10_000):
        rows.examined_count = 0
        rows.push(number)
        rows.current.clear()
        assert rows.examined_count <= 4


def test_obsolete_rows_take_no_more_room_than_the_current_ones_did() -> None:
    rows = Rows()
    for number in range(50_000):
        rows.push(number)
        rows.current.discard(max(number - 100, 0).to_bytes(4, "big"))
        assert len(rows.heap) < 2 * (2 * 100 + 64)
