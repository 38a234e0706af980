"""Limits against Sybil clusters: contacts of one subnet, and ids that are too close together.

A subnet is an IPv4 /24 or an IPv6 /48, roughly what one operator rents together. Its contacts
beyond the limits are crowded: they fill slots that no other contact needs, and yield to contacts
of less crowded subnets. All nodes of a small network may be in one subnet.

Ids cost nothing, but those of honest nodes are evenly distributed. More ids in one place than the
size of the network allows indicate an attack (Cholez, Chrisment and Festor 2010, on KAD).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS, prefix_of
from kademlua.core.params import Params
from kademlua.core.routing import bep42

_ID_SPACE: Final = 1 << ID_BITS
_SPARSE_SIGMAS: Final = 3.0
"""Standard deviations. Without an attack, one place in a hundred is sparser by chance."""
_NEIGHBOUR_WEIGHT: Final = 0.8
"""Weight of the estimate from the own neighbours, which is less exact."""
_MAX_GROWTH: Final = 4
"""Factor by which a network may have grown since its size was sampled."""
_DENSITY_SLACK: Final = 4
"""Nodes beyond the expected number. Without an attack, one place in 100,000 has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversityLimits:
    """How many contacts of one subnet are accepted before they count as crowded."""

    per_bucket: int
    per_table: int
    per_lookup: int
    is_private_network: bool
    """Whether the nodes share a network key: then no subnet is limited."""
    limits_private: bool
    """Whether loopback and private addresses are limited too."""
    requires_bep42: bool
    """Whether ids must be derived from addresses (BEP 42)."""

    @classmethod
    def from_params(cls, params: Params, *, is_private_network: bool = False) -> DiversityLimits:
        """Return the limits in a node's parameters.

        A private network has no subnet limits: a node without its key cannot join it.
        """
        return cls(
            per_bucket=params.subnet_limit_bucket,
            per_table=params.subnet_limit_table,
            per_lookup=params.subnet_limit_lookup,
            is_private_network=is_private_network,
            limits_private=not params.exempt_private and not is_private_network,
            requires_bep42=params.bep42_ids,
        )

    def applies_to(self, contact: Contact) -> bool:
        """Return whether a contact's subnet is limited."""
        return self.limits_private if contact.is_private else not self.is_private_network

    def rank(self, contacts: Iterable[Contact]) -> list[Contact]:
        """Return the contacts in their order, but crowded ones last.

        These are the contacts after the first ``per_lookup`` of their subnet.
        """
        taken: Counter[bytes] = Counter()
        uncrowded: list[Contact] = []
        crowded: list[Contact] = []
        for contact in contacts:
            if self.applies_to(contact):
                prefix = contact.diversity_prefix
                taken[prefix] += 1
                if taken[prefix] > self.per_lookup:
                    crowded.append(contact)
                    continue
            uncrowded.append(contact)
        return uncrowded + crowded

    def select(
        self, contacts: Sequence[Contact], count: int, fallback_count: int = 0
    ) -> list[Contact]:
        """Return the first ``count`` contacts of ``rank``, in their original order.

        Up to ``fallback_count`` others follow, in the order of ``rank``.
        """
        ranked = self.rank(contacts)
        selected = set(ranked[:count])
        chosen = [contact for contact in contacts if contact in selected]
        return chosen + ranked[count : count + fallback_count]

    def has_valid_id(self, contact: Contact) -> bool:
        """Return whether a contact's id is allowed for its address."""
        return (
            not self.requires_bep42
            or contact.is_private
            or bep42.is_bep42_id(contact.id, contact.address_bytes)
        )


UNLIMITED: Final = DiversityLimits(
    per_bucket=1,
    per_table=1,
    per_lookup=1,
    is_private_network=True,
    limits_private=False,
    requires_bep42=False,
)
"""No limits."""


class IdDensity:
    """Bounds for the distances between ids in a network of known size."""

    __slots__ = ("_max_nodes", "_min_nodes")

    def __init__(self, network_size: int, max_ratio: float, local_estimate: int = 0) -> None:
        """Allow up to ``max_ratio`` times the average density of ``network_size`` nodes.

        ``local_estimate`` is the size according to the own neighbours. This node knows them
        itself, so a Sybil cluster that reports only its own nodes does not lower it. It is also
        the first to show that a network grows. It counts for at most four times the size, so
        that a cluster around this node cannot raise the limit for all others.
        """
        self._min_nodes = max(network_size, int(_NEIGHBOUR_WEIGHT * local_estimate))
        self._max_nodes = max(
            1, int(min(max(network_size, local_estimate), _MAX_GROWTH * network_size) * max_ratio)
        )

    def max_kth_distance(self, k: int, path_count: int) -> int:
        """Return the largest plausible distance of the k-th nearest node.

        With several paths, each finds every ``path_count``-th node.
        """
        mean = path_count * k * _ID_SPACE // self._min_nodes
        return int(mean * (1 + _SPARSE_SIGMAS / k**0.5))

    def is_cluster(self, distances: list[int], k: int) -> bool:
        """Return whether the k nearest ids are twice as dense as usual, or more.

        In an honest network that is so for 5 % of all places at k = 8, and for 0.3 % at 20.

        Args:
            distances: sorted distances of ids from one place.
        """
        return len(distances) >= k and 2 * distances[k - 1] < k * _ID_SPACE // self._min_nodes

    def max_replica_distance(self, replicas: int) -> int:
        """Return a distance within which there are almost certainly at most ``replicas`` nodes.

        Their number within a distance has a Poisson distribution. Its mean here is one standard
        deviation below ``replicas``.
        """
        return int((replicas - replicas**0.5) * (_ID_SPACE // self._min_nodes))

    @property
    def expected_gap(self) -> int:
        """A distance within which even one node is unlikely."""
        return _ID_SPACE // self._max_nodes

    def max_within(self, distance: int) -> int:
        """Return how many nodes may be closer than a distance."""
        return _DENSITY_SLACK + self._max_nodes * distance // _ID_SPACE

    def is_dense(self, id_int: int, groups: Iterable[Iterable[Contact]]) -> bool:
        """Return whether these contacts, next to ``id_int``, are already as dense as is allowed."""
        gap = self.expected_gap
        prefix, prefix_gap = prefix_of(id_int), prefix_of(gap)
        found = 0
        for group in groups:
            for each in group:
                if each.prefix ^ prefix < prefix_gap:
                    found += 1
        return found >= self.max_within(gap)

    def min_distance(self, nearer_count: int) -> int:
        """Return how far a node must be if ``nearer_count`` others are nearer."""
        return max(0, nearer_count - _DENSITY_SLACK + 1) * _ID_SPACE // self._max_nodes
