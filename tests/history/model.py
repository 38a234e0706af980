"""The history of a network: its nodes, what impaired them, and the operations with their times.

Times are seconds since the run began, by one clock that all observations share. Nodes are named by
their ids, keys by their hex digits. A history contains what a user could observe, and the faults.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

NODES_TOGETHER = ""
"""The name that stands for all nodes in an ``Outage``."""


class Kind(Enum):
    """The kinds of a write."""

    ADD = "add"
    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    REMOVE = "remove"
    SIGNED = "put_signed"
    IMMUTABLE = "put_immutable"


STORES = {Kind.ADD, Kind.PUBLISH, Kind.SIGNED, Kind.IMMUTABLE}
"""The kinds that store a value."""


@dataclass(slots=True, kw_only=True)
class Write:
    """A store, a remove, or the end of a publication. Each stored value is unique in a history.

    The writes of one owner to one key do not overlap in time.
    """

    kind: Kind
    writer: str
    """The node that performed it."""
    key: str
    started: float
    owner: str = ""
    """The id of a node; for records the name of the signer, or of the record."""
    value: bytes = b""
    ttl: float = 0.0
    seq: int = 0
    """The sequence number of a signed record."""
    ended: float = math.inf
    """When it returned or failed; infinite if it did neither."""
    error: str = ""
    """Why it failed: nothing is known about its effect then."""
    acknowledged: frozenset[str] = frozenset()
    """The nodes that acknowledged it."""
    informed: frozenset[str] = frozenset()
    """The nodes that know of it: those, and those that had nothing to remove."""
    inspected: frozenset[str] = frozenset()
    """The acknowledging nodes whose store was read immediately after the reply."""
    disproved: frozenset[str] = frozenset()
    """Those of them whose store did not agree."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether it returned successfully."""
        return self.ended < math.inf and not self.error

    @property
    def is_store(self) -> bool:
        """Whether it stores a value."""
        return self.kind in STORES

    def replaces(self, other: Write) -> bool:
        """Return whether this write, where it is performed, replaces the value of another.

        A signed record replaces those of its signer with lower sequence numbers; a store or remove
        of a plain value replaces the owner's earlier ones.
        """
        if self is other or (self.key, self.owner) != (other.key, other.owner):
            return False
        if self.kind is Kind.SIGNED:
            return self.seq > other.seq
        return self.kind is not Kind.UNPUBLISH and self.started > other.started


@dataclass(slots=True, kw_only=True)
class Find:
    """A find, and the values that it showed."""

    reader: str
    key: str
    started: float
    ended: float = math.inf
    error: str = ""
    is_exhaustive: bool = True
    """Whether it asked all close nodes, rather than stop after a few answers."""
    shown: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """The values of each answering node."""

    @property
    def values(self) -> set[bytes]:
        """All shown values."""
        return {value for values in self.shown.values() for value in values}


@dataclass(slots=True)
class NodeLife:
    """A node: the times at which its process ran, and whether its store survives them."""

    name: str
    keeps_disk: bool
    runs: list[list[float]] = field(default_factory=list)
    """Start and end of each run; the end is infinite while it lasts."""

    def was_up(self, since: float, until: float) -> bool:
        """Return whether one process ran for the whole time, and a moment longer."""
        return any(start <= since and until < end for start, end in self.runs)

    def ran_at(self, time: float) -> bool:
        """Return whether it ran at a time."""
        return self.was_up(time, time)

    def last_run_before(self, time: float) -> float:
        """Return the latest time until then at which it ran."""
        return max(min(end, time) for start, end in self.runs if start <= time)


@dataclass(slots=True)
class Outage:
    """A time in which a node, or all, lost packets or did not run. ``name`` may be all nodes."""

    name: str
    started: float
    ended: float = math.inf


@dataclass(slots=True)
class Partition:
    """A time in which the nodes in ``side`` and all others could not reach each other."""

    side: frozenset[str]
    started: float
    ended: float = math.inf


@dataclass(slots=True)
class History:
    """All that happened in one run."""

    writes: list[Write] = field(default_factory=list)
    finds: list[Find] = field(default_factory=list)
    nodes: dict[str, NodeLife] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    """Faults in words, for reports."""

    # Nodes

    def has_kept(self, name: str, since: float, until: float) -> bool:
        """Return whether a node still has what it acknowledged at ``since``.

        It ran all the time, or it has a disk and runs again.
        """
        life = self.nodes.get(name)
        if life is None or not life.ran_at(until):
            return False
        return life.keeps_disk or life.was_up(since, until)

    def is_healthy(self, name: str, since: float, until: float) -> bool:
        """Return whether a node ran and could send and receive for the whole time."""
        life = self.nodes.get(name)
        return (
            life is not None
            and life.was_up(since, until)
            and not any(
                each.name in (name, NODES_TOGETHER) and each.started <= until and each.ended > since
                for each in self.outages
            )
        )

    def can_talk(self, names: Iterable[str], since: float, until: float) -> bool:
        """Return whether no partition separated any of these nodes in this time."""
        together = set(names)
        return not any(
            each.started <= until
            and each.ended > since
            and bool(together & each.side)
            and bool(together - each.side)
            for each in self.partitions
        )

    def closest_throughout(
        self, key: str, count: int, since: float, until: float
    ) -> tuple[set[str], set[str]]:
        """Return the nodes that were always, and those that were ever, among the closest running
        ones to a key."""
        target = int(key, 16)
        by_distance = sorted(self.nodes.values(), key=lambda each: int(each.name, 16) ^ target)
        changes = {
            time
            for life in by_distance
            for run in life.runs
            for time in run
            if since < time < until
        }
        always: set[str] | None = None
        ever: set[str] = set()
        for time in sorted(changes | {since, until}):
            closest = {each.name for each in by_distance if each.ran_at(time)}
            closest = set([each.name for each in by_distance if each.name in closest][:count])
            always = closest if always is None else always & closest
            ever |= closest
        return always or set(), ever

    # Writes

    def writes_of(self, key: str) -> Iterator[Write]:
        """Yield the writes to a key in the order of their start."""
        return (each for each in self.writes if each.key == key)

    def publication_end(self, publish: Write, until: float) -> float:
        """Return the latest time up to ``until`` at which a publication may have been stored.

        It ends with a later successful write of its owner to the key. A publication whose
        ``publish`` failed may exist, since its owner may have been killed before the reply.
        """
        ends = [
            each.ended
            for each in self.writes_of(publish.key)
            if each.owner == publish.owner
            and each.started > publish.started
            and each.is_acknowledged
        ]
        return min([self.nodes[publish.owner].last_run_before(until), *ends])

    def latest_expiry(self, write: Write, until: float) -> float:
        """Return when the last copy of a value expires, as far as known at ``until``."""
        stored_until = min(write.ended, until)
        if write.kind is Kind.PUBLISH:
            stored_until = max(stored_until, self.publication_end(write, until))
        return stored_until + write.ttl
