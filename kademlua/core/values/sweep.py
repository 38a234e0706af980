"""The sweep: when published values are stored again, in the order of their keys.

A sweep passes through all keys once in each interval, at a constant speed. So the stores of a cycle
never come all together, and those of neighbouring keys do, which then share lookups. It is what
kubo calls a provide sweep.
"""

from __future__ import annotations

from typing import Final

from kademlua.core.ids import ID_BITS, to_int

_MAX_SECTIONS: Final = 128
_SECTION_KEYS: Final = 64


def section_count(key_count: int) -> int:
    """Return into how many parts the id space is divided for a number of keys.

    The sweep passes each part in a moment, so that its keys share lookups and requests.
    """
    return min(_MAX_SECTIONS, 1 << (key_count // _SECTION_KEYS).bit_length())


def position(key: bytes, first_id: bytes, sections: int) -> float:
    """Return where the sweep passes a key, from 0 to 1, if it begins at ``first_id``.

    Nodes that publish the same keys begin at different ids.
    """
    section, first = (to_int(each) * sections >> ID_BITS for each in (key, first_id))
    return (section - first) % sections / sections


def next_passage(position: float, interval: float, after: float) -> float:
    """Return the first time after another one at which a sweep passes a position.

    It is at position 0 at each multiple of ``interval``.
    """
    return after + interval - (after - position * interval) % interval


def next_store(position: float, interval: float, stored_at: float) -> float:
    """Return when a value is stored again: a third of an interval to an interval after its last
    store.

    If the sweep passes earlier, it is stored once between two passages, then at each.
    """
    at = next_passage(position, interval, stored_at)
    return at if at - stored_at >= interval / 3 else at + interval / 2
