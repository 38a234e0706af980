"""ObjectReport: how much of an object was stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kademlua.core.results import StoreReport


@dataclass(slots=True)
class ObjectReport:
    """How much of an object was stored so far."""

    stored_bytes: int = 0
    """Bytes of the object in the blocks that were stored or found."""
    stored_blocks: int = 0
    """Blocks that were stored, those that hold keys included."""
    found_blocks: int = 0
    """Blocks that were not stored again, because the network has them."""
    fewest_replicas: int | None = None
    """The number of nodes that acknowledged the block with the fewest; None before the first."""
    refusals: Counter[str] = field(default_factory=Counter)
    """How often nodes refused a block, by reason."""
    timed_out: int = 0
    """How often a node did not reply to a store in time."""

    def add_stored(self, content_bytes: int, report: StoreReport) -> None:
        """Count a block that was stored."""
        self.stored_blocks += 1
        self.stored_bytes += content_bytes
        replicas = len(report.acknowledged)
        if self.fewest_replicas is None or replicas < self.fewest_replicas:
            self.fewest_replicas = replicas
        self.add_failures(report)

    def add_found(self, content_bytes: int) -> None:
        """Count a block that the network has."""
        self.found_blocks += 1
        self.stored_bytes += content_bytes

    def add_failures(self, report: StoreReport) -> None:
        """Count the nodes that refused a block, or did not reply."""
        self.refusals.update(reason for _, reason in report.refused)
        self.timed_out += len(report.timed_out)

    def summary(self) -> str:
        """Return how much was stored, in one line."""
        blocks = self.stored_blocks + self.found_blocks
        return f"{self.stored_bytes:,} bytes in {blocks:,} block{'s' * (blocks != 1)} were stored"
