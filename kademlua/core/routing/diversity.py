"""Crowds: who has many addresses of one network, or many ids in one place, counts for few.

A network is an IPv4 /24 or an IPv6 /48: about what one operator rents at a time. Ids cost
nothing at all; but honest ones are spread evenly, so that more of them in one place than a
network of that size can have are a crowd (Cholez, Chrisment and Festor 2010 detect attacks on
KAD by it).
"""

from __future__ import annotations

from dataclasses import dataclass

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS
from kademlua.core.params import Params
from kademlua.core.routing import bep42

_SPACE = 1 << ID_BITS
_RARE = 3.0
"""Standard deviations: in a hundred places there is one where nodes are farther apart by chance."""
_SURELY = 0.8
"""Of what the neighbours tell, which is not exact."""
_GROWTH = 4
"""How many times as large as places tell it a network may have become since."""
_SLACK = 4
"""By chance alone one place in a hundred thousand has more than four times the nodes that
are to be expected there, and four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdLimits:
    """How many contacts of one network are taken."""

    bucket: int
    table: int
    lookup: int
    counts_private: bool
    """Whether loopback and private addresses are limited as well."""
    binds: bool
    """Whether ids must be bound to the addresses."""

    @classmethod
    def of(cls, params: Params) -> CrowdLimits:
        """Those of a node's parameters."""
        return cls(
            bucket=params.crowd_bucket,
            table=params.crowd_table,
            lookup=params.crowd_lookup,
            counts_private=not params.private_apart,
            binds=params.bound_ids,
        )

    def concerns(self, contact: Contact) -> bool:
        """Whether a contact's network is counted at all."""
        return self.counts_private or not contact.is_private

    def is_bound(self, contact: Contact) -> bool:
        """Whether a contact has an id that it may have."""
        return not self.binds or contact.is_private or bep42.is_bound(contact.id, contact.raw)


class Spread:
    """How near to each other ids may be, and how far apart."""

    __slots__ = ("_most", "_nodes")

    def __init__(self, nodes: int, times: float, neighbours: int = 0) -> None:
        """Up to so many ``times`` as dense as so many nodes are on average. ``neighbours`` is
        the number of nodes as those around the own id tell it: these are known by themselves
        and not by hearsay, so a gang that tells of itself only does not make them fewer. And
        they tell it soonest where a network grows; but not of more than four times as many, or
        a gang around this node would have all others let in.
        """
        self._nodes = max(nodes, int(_SURELY * neighbours))
        self._most = max(1, int(min(max(nodes, neighbours), _GROWTH * nodes) * times))

    def farthest(self, count: int, sharing: int) -> int:
        """How far away the last of the nearest so many is, at most; where those nearest are
        dealt out to ``sharing`` searches, the last of one of them."""
        mean = sharing * count * _SPACE // self._nodes
        return int(mean * (1 + _RARE / count**0.5))

    @property
    def vicinity(self) -> int:
        """A distance within which it is unlikely that there is even one node."""
        return _SPACE // self._most

    def within(self, distance: int) -> int:
        """How many nodes may be nearer than a distance, at most."""
        return _SLACK + self._most * distance // _SPACE

    def least(self, nearer: int) -> int:
        """How far away one is, at least, with so many others nearer."""
        return max(0, nearer - _SLACK + 1) * _SPACE // self._most


class NetworkCounts:
    """How many contacts of each network are held, kept as they come and go."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def count(self, network: bytes) -> int:
        """How many there are."""
        return self._counts.get(network, 0)

    def add(self, network: bytes) -> None:
        """One more."""
        self._counts[network] = self._counts.get(network, 0) + 1

    def remove(self, network: bytes) -> None:
        """One of them went."""
        left = self._counts[network] - 1
        if left:
            self._counts[network] = left
        else:
            del self._counts[network]
