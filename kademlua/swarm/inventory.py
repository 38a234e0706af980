"""What the nodes of a swarm hold, as their workers report it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

MAX_KEYS = 1_000
"""Maximum keys in the report of one process: those with the smallest numbers."""

FIGURES = ("age_seconds", "contacts", "values", "packets_in", "packets_out", "dropped")
"""The names of a node's figures, in the order of a report."""

Holders: TypeAlias = dict[str, list[int]]
"""The ports of the nodes that hold a key, by its hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryReport:
    """The figures of each node of one process by port, and the holders of their keys."""

    figures: dict[int, list[int]] = field(default_factory=dict)
    holders: Holders = field(default_factory=dict)
    is_partial: bool = False
    """True if there are more keys than ``MAX_KEYS``."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> InventoryReport:
        """Return the report that was sent as JSON, whose names are text."""
        figures = {int(port): each for port, each in fields["figures"].items()}
        return cls(figures=figures, holders=fields["holders"], is_partial=fields["is_partial"])


def smallest_keys(holders: Holders) -> tuple[Holders, bool]:
    """Return the holders of the ``MAX_KEYS`` smallest keys, and whether there are more keys."""
    kept = heapq.nsmallest(MAX_KEYS, holders)
    return {key: holders[key] for key in kept}, len(kept) < len(holders)


class Inventory:
    """The reports of all processes of a swarm together."""

    def __init__(self) -> None:
        self._reports: dict[str, InventoryReport] = {}
        self._lost_keys: dict[str, None] = {}
        self._holders: Holders | None = None

    def clear(self) -> None:
        """Forget all reports; a later one might contradict them."""
        self._holders = None
        self._reports.clear()
        self._lost_keys.clear()

    def update(self, source: str, report: InventoryReport, ports: Iterable[int]) -> None:
        """Replace the report of a process. Only nodes on ``ports`` still run."""
        self._holders = None
        running = set(ports)
        holders = {
            key: kept
            for key, each in report.holders.items()
            if (kept := [port for port in each if port in running])
        }
        self._reports[source] = InventoryReport(
            figures=report.figures, holders=holders, is_partial=report.is_partial
        )
        for key in holders:
            self._lost_keys.pop(key, None)

    def remove_node(self, port: int) -> None:
        """Remove a node that ended. A key without another holder is lost."""
        self._holders = None
        for report in self._reports.values():
            report.figures.pop(port, None)
            held = [key for key, ports in report.holders.items() if port in ports]
            for key in held:
                report.holders[key].remove(port)
                if not report.holders[key]:
                    del report.holders[key]
                if not self.holders_of(key):
                    self._lost_keys[key] = None
                    if len(self._lost_keys) > MAX_KEYS:
                        del self._lost_keys[next(iter(self._lost_keys))]

    def figures_of(self, port: int) -> dict[str, int]:
        """Return the figures of a node; empty until its process has reported them."""
        for report in self._reports.values():
            if port in report.figures:
                return dict(zip(FIGURES, report.figures[port], strict=True))
        return {}

    def holders_of(self, key: str) -> list[int]:
        """Return the ports of the nodes that hold a key."""
        return [port for report in self._reports.values() for port in report.holders.get(key, ())]

    @property
    def holders(self) -> Holders:
        """The holders of each key, the keys with the fewest first.

        With more than ``MAX_KEYS`` keys, only those that all processes report are complete.
        """
        if self._holders is None:
            self._holders = self._combine()
        return self._holders

    def _combine(self) -> Holders:
        last = min((max(each.holders, default="") for each in self._partial), default="g")
        keys = {key for each in self._reports.values() for key in each.holders if key <= last}
        found = {key: self.holders_of(key) for key in keys}
        return dict(sorted(found.items(), key=lambda item: (len(item[1]), item[0])))

    @property
    def lost_keys(self) -> list[str]:
        """The keys whose last holder ended, the latest first."""
        return list(reversed(self._lost_keys))

    @property
    def _partial(self) -> list[InventoryReport]:
        return [each for each in self._reports.values() if each.is_partial]
