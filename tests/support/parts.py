"""Access to parts of a node that ``Node.services`` does not expose, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua import Contact, Node, Params
from kademlua.core.values.memory_store import MemoryStore
from kademlua.replication.replicator import Replicator
from kademlua.replication.transfer import ValueTransfer
from kademlua.values.pacing import UpkeepPacer


def probe_count(node: Node) -> int:
    """Return the number of contacts that a node is probing."""
    # Private: statistics count sent pings, but not queued probes.
    return len(node.services.liveliness._probes)


def mark_dead(node: Node, contact: Contact) -> None:
    """Make a node treat a contact as dead, as after a failed probe."""
    # Private: a real failure takes an outage, which changes other parts of the node as well.
    node.services.liveliness._mark_dead(contact)


def replicator_of(node: Node) -> Replicator:
    """Return the replicator of a node."""
    # Private: only the maintenance loop uses it.
    return node.services.maintenance._replicator


def value_transfer(node: Node) -> ValueTransfer:
    """Return a value transfer that uses the parts of a node."""
    services = node.services
    return ValueTransfer(
        services.context,
        services.client,
        services.liveliness,
        services.lookups,
        UpkeepPacer(services.context),
    )


class SlowStore:
    """A store in memory whose values become durable when the test says so."""

    is_durable = True

    def __init__(self) -> None:
        self._store = MemoryStore(Params())
        self.waiting: list[Callable[[str | None], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __len__(self) -> int:
        return len(self._store)

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        self.waiting.append(callback)
