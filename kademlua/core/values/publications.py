"""Publications: the published values of a node, and when each is due to be stored again.

A million of them, of 100 bytes, need 300 MB: each is a row of bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from struct import Struct
from typing import Final

from kademlua.core.results import Publication

_HEADER: Final = Struct(">dQQh")
"""When it is due, TTL, sequence number, copies; the encoded value follows."""
_UNKNOWN: Final = -1
"""The copies of a value that this process has not stored yet."""


class Publications:
    """The publications by key. Times are seconds by the clock of the node."""

    __slots__ = ("_copies", "_due_slots", "_overdue_since", "_rows", "_slot_numbers")

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._due_slots: dict[int, list[bytes]] = {}
        """Keys by the second in which they are due. A key may be obsolete: its row tells."""
        self._slot_numbers: list[int] = []
        """The seconds with keys, a heap."""
        self._overdue_since: dict[bytes, float] = {}
        """The keys that were taken and not stored since, in the order in which they were due."""
        self._copies: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Publication]:
        return map(self._publication, self._rows.items())

    def get(self, key: bytes) -> Publication | None:
        """Return the publication of a key; None if there is none."""
        row = self._rows.get(key)
        return None if row is None else self._publication((key, row))

    @property
    def copies(self) -> dict[int, int]:
        """How many values have which number of copies, by their last stores in this process."""
        return {copies: count for copies, count in self._copies.items() if count}

    def put(self, publication: Publication, due_at: float, copies: int = _UNKNOWN) -> None:
        """Add a value, or record that it was stored; it replaces that of the same key.

        ``copies`` is the number of nodes that acknowledged it.
        """
        key, encoded, ttl, seq = publication
        self._overdue_since.pop(key, None)
        self._set(key, _HEADER.pack(due_at, ttl, seq, copies) + encoded)

    def retry(self, key: bytes, due_at: float, copies: int) -> None:
        """Record that a value could not be stored, and when it is due again."""
        row = self._rows.get(key)
        if row is not None:
            self._set(key, _rescheduled(row, due_at, copies))

    def remove(self, key: bytes) -> bool:
        """Remove a publication; return whether there was one."""
        row = self._rows.pop(key, None)
        if row is None:
            return False
        self._overdue_since.pop(key, None)
        self._count(row, -1)
        return True

    def take_due(self, now: float, limit: int) -> list[Publication]:
        """Return values that are due, those that are due first before others, up to a limit.

        They are due again after ``put`` or ``retry``.
        """
        taken: list[Publication] = []
        while len(taken) < limit and (number := self._first_slot()) is not None and number <= now:
            keys = self._due_slots[number]
            later: list[bytes] = []
            while keys and len(taken) < limit:
                key = keys.pop()
                due_at = self._due_in(key, number)
                if due_at <= now:
                    taken.append(self._take(key, due_at))
                elif due_at < math.inf:
                    later.append(key)
            keys += later
            if later:
                break
        return taken

    def next_due_at(self) -> float:
        """Return when the next value is due that was not taken; infinite if there is none."""
        number = self._first_slot()
        if number is None:
            return math.inf
        return min(self._due_in(key, number) for key in self._due_slots[number])

    def lag(self, now: float) -> float:
        """Return for how many seconds the oldest overdue value has been due; 0 if none is."""
        oldest = min(next(iter(self._overdue_since.values()), now), self.next_due_at())
        return max(0.0, now - oldest)

    def _take(self, key: bytes, due_at: float) -> Publication:
        self._overdue_since.setdefault(key, due_at)
        row = self._rows[key]
        self._rows[key] = _rescheduled(row, math.inf, _copies(row))
        return self._publication((key, row))

    def _set(self, key: bytes, row: bytes) -> None:
        former = self._rows.get(key)
        if former is not None:
            self._count(former, -1)
        self._rows[key] = row
        self._count(row, 1)
        due_at, *_ = _HEADER.unpack_from(row)
        number = math.floor(due_at)
        slot = self._due_slots.get(number)
        if slot is None:
            slot = self._due_slots[number] = []
            heappush(self._slot_numbers, number)
        slot.append(key)

    def _count(self, row: bytes, change: int) -> None:
        copies = _copies(row)
        if copies != _UNKNOWN:
            self._copies[copies] += change

    def _first_slot(self) -> int | None:
        """Return the first second with keys that are not obsolete; forget those before."""
        while self._slot_numbers:
            number = self._slot_numbers[0]
            keys = self._due_slots[number]
            while keys and self._due_in(keys[-1], number) == math.inf:
                keys.pop()
            if keys:
                return number
            del self._due_slots[heappop(self._slot_numbers)]
        return None

    def _due_in(self, key: bytes, number: int) -> float:
        """Return when a key of a slot is due; infinite if it is obsolete there."""
        row = self._rows.get(key)
        if row is None:
            return math.inf
        due_at: float
        due_at, *_ = _HEADER.unpack_from(row)
        return due_at if number <= due_at < number + 1 else math.inf

    @staticmethod
    def _publication(item: tuple[bytes, bytes]) -> Publication:
        key, row = item
        _, ttl, seq, _ = _HEADER.unpack_from(row)
        return Publication(key, row[_HEADER.size :], ttl, seq)


def _rescheduled(row: bytes, due_at: float, copies: int) -> bytes:
    _, ttl, seq, _ = _HEADER.unpack_from(row)
    return _HEADER.pack(due_at, ttl, seq, copies) + row[_HEADER.size :]


def _copies(row: bytes) -> int:
    *_, copies = _HEADER.unpack_from(row)
    return int(copies)
