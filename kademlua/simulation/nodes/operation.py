"""Operations of the workload, and how their results are judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kademlua.core.contact import Contact, Endpoint
from kademlua.node.node import Node
from kademlua.simulation.nodes.member import PopulationMember


@dataclass(slots=True)
class WorkloadOperation:
    """One add, find or lookup of the workload."""

    number: int
    kind: str
    started_at: float
    """Seconds since measuring began; negative for adds of the warm-up."""
    ended_at: float = math.nan
    ok: bool = False
    """The add was acknowledged, the value was found, or the lookup found nodes."""
    failure_reason: str = ""
    """The reason if not ``ok``."""
    hops: int = 0
    """Sequential queries on the path to the closest node or to the value."""
    query_count: int = 0
    """All queries sent, without the stores of an add."""
    recall: float = math.nan
    """For lookups: the share of the true k closest nodes that was found."""
    path_count: int = 1
    """For finds: the number of disjoint paths."""
    crosses_partition: bool = False
    """For finds: the value was added on the other side of a partition."""

    @property
    def seconds(self) -> float:
        """The latency in virtual seconds."""
        return self.ended_at - self.started_at


OperationListener = Callable[[WorkloadOperation, PopulationMember, bytes], None]
"""Called with an operation, its member and its key when it begins and when it ends."""


def lookup_seeds(node: Node, key: bytes) -> list[Endpoint]:
    """Return the contacts from its routing table that a node's lookup starts with."""
    return [contact.endpoint for contact in node.table.closest(key, node.params.k)]


def recall(target: int, found: list[Contact], true_closest: list[int], k: int) -> float:
    """Return the share of the true closest nodes that a lookup found.

    A true node farther than all k found nodes does not count as missed. The lookup may have
    found closer nodes that ``true_closest`` omits, such as nodes behind NAT.
    """
    if not true_closest:
        return 1.0
    found_ids = {contact.id_int for contact in found}
    farthest = max((number ^ target for number in found_ids), default=0)
    is_full = len(found_ids) >= k
    missed = sum(
        number not in found_ids and not (is_full and number ^ target > farthest)
        for number in true_closest
    )
    return 1 - missed / len(true_closest)
