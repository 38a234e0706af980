"""What the operations of a node return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from kademlua.core.contact import Contact
from kademlua.core.values.records import SignedRecord
from kademlua.core.wire import replies


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What became of a store at each of the nodes that should hold the value."""

    acknowledged: list[Contact] = field(default_factory=list)
    refused: list[tuple[Contact, str]] = field(default_factory=list)
    """Who would not take it, with the reason given."""
    timed_out: list[Contact] = field(default_factory=list)
    """Who did not answer in time."""

    def failure_summary(self, action: str = "took the value") -> str:
        """Why nobody took it, or too few did, in one line."""
        reasons = sorted({reason for _, reason in self.refused})
        parts = [f"{len(self.refused)} refused ({'; '.join(reasons)})"] if reasons else []
        if self.timed_out:
            parts.append(f"{len(self.timed_out)} did not answer")
        count = len(self.acknowledged)
        accepted_by = f"only {count} node{'s' * (count > 1)}" if count else "no node"
        no_contacts = "no other was found" if count else "none was found"
        return f"{accepted_by} {action}: " + (", ".join(parts) or no_contacts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node had to say to a ``find_value``."""

    contact: Contact
    """Who it was."""
    values: list[Any]
    """Its values of the key: int, bytes, list or dict with bytes as keys."""


class PutResult(NamedTuple):
    """A record that was put: its key, and what became of it at each node."""

    key: bytes
    report: StoreReport
    signed_record: SignedRecord | None = None
    """What was stored, where it is a signed one."""


class Pong(NamedTuple):
    """An answer to a ping: who answered, and after how many seconds."""

    contact: Contact
    rtt: float


class Publication(NamedTuple):
    """A value that is published."""

    key: bytes
    encoded: bytes
    """The value, bencoded."""
    ttl: int
    """Seconds that it lives after each store."""

    @property
    def value(self) -> Any:
        """The value as it is found."""
        return replies.decode_value(self.encoded)


class PublicationStore(Protocol):
    """Where publications outlast their process."""

    def __iter__(self) -> Iterator[Publication]:
        """Those that are kept, asked for once, when the node starts."""

    def put(self, key: bytes, encoded: bytes, ttl: int) -> None:
        """Keep one, in place of the former one of its key."""

    def remove(self, key: bytes) -> bool:
        """Keep it no longer; whether it was kept."""

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back once all changes so far outlive the process, with None; or with the
        reason why they can't."""
