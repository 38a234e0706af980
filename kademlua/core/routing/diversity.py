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

_ID_SPACE = 1 << ID_BITS
_SPARSE_SIGMAS = 3.0
"""Standard deviations: in a hundred places there is one where nodes are farther apart by chance."""
_NEIGHBOUR_WEIGHT = 0.8
"""Of what the neighbours tell, which is not exact."""
_MAX_GROWTH = 4
"""How many times as large as places tell it a network may have become since."""
_DENSITY_SLACK = 4
"""By chance alone one place in a hundred thousand has more than four times the nodes that
are to be expected there, and four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversityLimits:
    """How many contacts of one network are taken."""

    per_bucket: int
    per_table: int
    per_lookup: int
    limits_private: bool
    """Whether loopback and private addresses are limited as well."""
    requires_bep42: bool
    """Whether ids must be bound to the addresses."""

    @classmethod
    def from_params(cls, params: Params) -> DiversityLimits:
        """Those of a node's parameters."""
        return cls(
            per_bucket=params.subnet_limit_bucket,
            per_table=params.subnet_limit_table,
            per_lookup=params.subnet_limit_lookup,
            limits_private=not params.exempt_private,
            requires_bep42=params.bep42_ids,
        )

    def applies_to(self, contact: Contact) -> bool:
        """Whether a contact's network is counted at all."""
        return self.limits_private or not contact.is_private

    def has_valid_id(self, contact: Contact) -> bool:
        """Whether a contact has an id that it may have."""
        return (
            not self.requires_bep42
            or contact.is_private
            or bep42.is_bep42_id(contact.id, contact.address_bytes)
        )


class IdDensity:
    """How near to each other ids may be, and how far apart."""

    __slots__ = ("_max_nodes", "_min_nodes")

    def __init__(self, network_size: int, max_ratio: float, local_estimate: int = 0) -> None:
        """Up to so many ``max_ratio`` as dense as so many nodes are on average. ``local_estimate``
        is the number of nodes as those around the own id tell it: these are known by themselves
        and not by hearsay, so a gang that tells of itself only does not make them fewer. And
        they tell it soonest where a network grows; but not of more than four times as many, or
        a gang around this node would have all others let in.
        """
        self._min_nodes = max(network_size, int(_NEIGHBOUR_WEIGHT * local_estimate))
        self._max_nodes = max(
            1, int(min(max(network_size, local_estimate), _MAX_GROWTH * network_size) * max_ratio)
        )

    def max_kth_distance(self, k: int, path_count: int) -> int:
        """How far away the last of the nearest so many is, at most; where those nearest are
        dealt out to ``path_count`` searches, the last of one of them."""
        mean = path_count * k * _ID_SPACE // self._min_nodes
        return int(mean * (1 + _SPARSE_SIGMAS / k**0.5))

    @property
    def expected_gap(self) -> int:
        """A distance within which it is unlikely that there is even one node."""
        return _ID_SPACE // self._max_nodes

    def max_within(self, distance: int) -> int:
        """How many nodes may be nearer than a distance, at most."""
        return _DENSITY_SLACK + self._max_nodes * distance // _ID_SPACE

    def min_distance(self, nearer_count: int) -> int:
        """How far away one is, at least, with so many others nearer."""
        return max(0, nearer_count - _DENSITY_SLACK + 1) * _ID_SPACE // self._max_nodes


class PrefixCounts:
    """How many contacts of each network are held, kept as they come and go."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def count(self, prefix: bytes) -> int:
        """How many there are."""
        return self._counts.get(prefix, 0)

    def add(self, prefix: bytes) -> None:
        """One more."""
        self._counts[prefix] = self._counts.get(prefix, 0) + 1

    def remove(self, prefix: bytes) -> None:
        """One of them went."""
        remaining = self._counts[prefix] - 1
        if remaining:
            self._counts[prefix] = remaining
        else:
            del self._counts[prefix]
