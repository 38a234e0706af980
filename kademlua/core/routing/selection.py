"""Which buckets and contacts of a routing table come first, and which contact yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.bucket import KBucket, TableEntry

NEAR_BUCKETS: Final = 4
"""Buckets next to the own id whose contacts are not chosen by their round trips. They hold a good
part of the nodes in their ranges, and slow nodes must be known to their neighbours."""
_LONG_RTT: Final = 0.02
"""Seconds below which a round trip is short enough for any contact to keep its slot."""
_SHORTER: Final = 0.7
"""The largest share of a contact's round-trip time that counts as clearly shorter."""


def slower_entry(entries: list[TableEntry], rtt: float) -> TableEntry | None:
    """Return the entry of a full bucket that yields to a contact with a round trip of ``rtt``
    seconds.

    It is the slowest one of the younger half, if its round trips are clearly longer; None
    otherwise. The older half stays, because old contacts live longest, and so that new ones
    cannot fill a bucket (Gummadi et al. 2003, "proximity neighbor selection").

    Args:
        entries: those of the bucket, the oldest first.
    """
    younger = entries[(len(entries) + 1) // 2 :]
    slowest = max(younger, key=lambda each: each.rtt.srtt, default=None)
    if slowest is None or slowest.rtt.srtt < _LONG_RTT or rtt > _SHORTER * slowest.rtt.srtt:
        return None
    return slowest


def buckets_by_distance(buckets: Sequence[KBucket], distance: int) -> Iterator[KBucket]:
    """Yield the buckets so that the contacts of each are closer to a target than those of the next.

    ``distance`` is that between the target and the own id. If they differ in a bucket's bit, the
    target shares that bit with the bucket's contacts, which are then closer than those of all later
    buckets; otherwise they are farther.
    """
    last = len(buckets) - 1
    first = min(ID_BITS - distance.bit_length(), last)
    for index in range(first, last):
        if distance >> (ID_BITS - 1 - index) & 1:
            yield buckets[index]
    yield buckets[last]
    for index in range(last - 1, -1, -1):
        if not distance >> (ID_BITS - 1 - index) & 1:
            yield buckets[index]


def longest_silent(entries: list[TableEntry]) -> TableEntry:
    """Return the entry that was silent longest. Faster than ``min`` with a function."""
    oldest = entries[0]
    for each in entries:
        if each.last_seen < oldest.last_seen:
            oldest = each
    return oldest


def stale_contacts(
    entries: Iterable[TableEntry], before: float, count: int, slack: float
) -> list[Contact]:
    """Return up to ``count`` contacts not seen since ``before``, oldest first.

    Contacts whose last packet was a request are returned ``slack`` seconds earlier, so that two
    nodes take turns, and both replace forged requests by replies.
    """
    stale = [
        each
        for each in entries
        if each.last_seen < before + (-slack if each.last_replied >= each.last_seen else slack)
    ]
    stale.sort(key=lambda each: each.last_seen)
    return [each.contact for each in stale[:count]]
