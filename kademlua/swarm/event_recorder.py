"""Records lookup events of the nodes of one process, at a limited rate."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Any

import gevent

from kademlua.core.contact import Contact
from kademlua.node.node import Node
from kademlua.runtime.lookup_events import LookupEventEmitter
from kademlua.runtime.observers import LookupObserver, Observer
from kademlua.swarm.inventory import FIGURES, MAX_KEYS, Holders, InventoryReport, smallest_keys
from kademlua.swarm.plan import SwarmEvent

_MAX_QUEUED = 5_000
"""Maximum queued events."""
_YIELD_EVERY = 50
"""Nodes whose counters are read before yielding to the event loop."""
_USER_PURPOSES = ("find_node", "find_value", "store", "remove")
"""Purposes of lookups that a user requested; all others are maintenance."""
_RESERVED_SHARE = 0.7
"""Fraction of the rate reserved for user lookups."""
_COUNTERS = ("packets_in", "packets_out", "bytes_in", "bytes_out")
_COUNTERS_BY_NAME = {"requests": "requests_by_rpc", "dropped": "dropped"}
"""Prefix of a total such as ``requests ping``, and its key in ``Node.stats``."""


class EventRecorder:
    """Records events of nodes; records lookups only after ``start``."""

    def __init__(self) -> None:
        self.skipped = 0
        """Number of events and lookups not recorded."""
        self._queue: deque[SwarmEvent] = deque()
        self._observers: dict[Node, _NodeObserver] = {}
        self._max_per_second = self._remaining = 0
        self._last_lookup_id = 0
        self._lookup_count = 0
        self._removed_totals: Counter[str] = Counter()
        self.is_recording = False
        """True while lookups are recorded."""

    # Nodes.

    def add_node(self, node: Node) -> None:
        """Add a node."""
        self._observers[node] = _NodeObserver(self, node.id.hex())
        if self.is_recording:
            node.observe(self._observers[node])

    def remove_node(self, node: Node) -> None:
        """Remove a node before it closes; its counts stay in the totals."""
        observer = self._observers.pop(node, None)
        if observer is not None:
            node.unobserve(observer)
            self._removed_totals.update(_totals_of(node.stats()))

    def start(self, max_per_second: int) -> None:
        """Record up to ``max_per_second`` lookups per second."""
        self._max_per_second = self._remaining = max_per_second
        if not self.is_recording:
            self.is_recording = True
            for node, observer in self._observers.items():
                node.observe(observer)

    def stop(self) -> None:
        """Stop recording lookups, and remove the observers."""
        self.is_recording = False
        for node, observer in self._observers.items():
            node.unobserve(observer)

    # Events.

    def record_always(self, name: str, data: dict[str, Any]) -> None:
        """Record an event, even if the queue is full."""
        self._queue.append((name, data))

    def record(self, name: str, data: dict[str, Any]) -> None:
        """Record an event, unless the queue is full."""
        if len(self._queue) < _MAX_QUEUED:
            self._queue.append((name, data))
        else:
            self.skipped += 1

    def drain(self) -> list[SwarmEvent]:
        """Return and clear the queued events."""
        events = list(self._queue)
        self._queue.clear()
        return events

    def collect_totals(self) -> dict[str, int]:
        """Return the packets, lookups and values of all nodes since the start, and reset the rate
        limit of lookups. Yields to the event loop between groups of nodes."""
        self._remaining = self._max_per_second
        sums = Counter(self._removed_totals)
        values = 0
        for number, node in enumerate(list(self._observers), 1):
            if number % _YIELD_EVERY == 0:
                gevent.sleep(0)
            if node in self._observers:
                sums.update(_totals_of(node.stats()))
                values += len(node.datastore)
        return {
            **dict.fromkeys(_COUNTERS, 0),
            **sums,
            "lookups": self._lookup_count,
            "values": values,
            "skipped": self.skipped,
        }

    def collect_inventory(self) -> InventoryReport:
        """Return what each node holds. Yields to the event loop between groups of nodes."""
        figures: dict[int, list[int]] = {}
        holders: Holders = defaultdict(list)
        for number, node in enumerate(list(self._observers), 1):
            if number % _YIELD_EVERY == 0:
                gevent.sleep(0)
            if node in self._observers and not node.closed:
                port = node.contact.port
                figures[port] = _figures_of(node)
                for key in heapq.nsmallest(MAX_KEYS + 1, node.datastore.keys()):
                    holders[key.hex()].append(port)
        kept, is_partial = smallest_keys(holders)
        return InventoryReport(figures=figures, holders=kept, is_partial=is_partial)

    def observe_lookup(
        self, node_id: str, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Return the observer of a lookup by ``node_id``, or None above the rate limit."""
        self._lookup_count += 1
        if self._remaining <= (
            0 if purpose in _USER_PURPOSES else self._max_per_second * _RESERVED_SHARE
        ):
            self.skipped += 1
            return None
        self._remaining -= 1
        self._last_lookup_id += 1
        events = _LookupRecorder(self.record, self._last_lookup_id)
        events.start(rpc_name, target, purpose, node=node_id)
        return events


def _totals_of(stats: Mapping[str, Any]) -> dict[str, int]:
    """Return the counters of a node that are added up."""
    totals = {name: stats[name] for name in _COUNTERS}
    for prefix, key in _COUNTERS_BY_NAME.items():
        totals |= {f"{prefix} {name}": count for name, count in stats[key].items()}
    return totals


def _figures_of(node: Node) -> list[int]:
    """Return the ``FIGURES`` of a node."""
    stats = node.stats()
    figures = stats | {
        "age_seconds": round(stats["seconds"]),
        "dropped": sum(stats["dropped"].values()),
    }
    return [figures[name] for name in FIGURES]


class _NodeObserver(Observer):
    """Observes one node for a recorder."""

    def __init__(self, recorder: EventRecorder, node_id: str) -> None:
        self._recorder = recorder
        self._node_id = node_id

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Record the lookup within the rate limit."""
        return self._recorder.observe_lookup(self._node_id, rpc_name, target, purpose)


class _LookupRecorder(LookupEventEmitter):
    """Reports each contact only for the reply that returned it first, to keep events small."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen_ids: set[int] = set()

    def on_seeded(self, contacts: list[Contact]) -> None:
        self._seen_ids.update(each.id_int for each in contacts)

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        new = [each for each in dict.fromkeys(contacts) if each.id_int not in self._seen_ids]
        self._seen_ids.update(each.id_int for each in new)
        super().on_reply(contact, new)
