"""The results of a node's operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from kademlua.core.contact import Contact
from kademlua.core.values.records import SignedRecord
from kademlua.core.wire import replies


@dataclass(frozen=True, slots=True)
class StoreReport:
    """The result of a store or remove at each node."""

    acknowledged: list[Contact] = field(default_factory=list)
    refused: list[tuple[Contact, str]] = field(default_factory=list)
    """The nodes that refused, with their reasons."""
    timed_out: list[Contact] = field(default_factory=list)
    """The nodes that did not reply in time."""
    newer_seqs: list[int] = field(default_factory=list)
    """The sequence numbers of newer values of this node, from those that refused because of one."""

    def failure_summary(self, action: str = "stored the value") -> str:
        """Return why too few nodes performed the action, in one line."""
        reasons = sorted({reason for _, reason in self.refused})
        parts = [f"{len(self.refused)} refused ({'; '.join(reasons)})"] if reasons else []
        if self.timed_out:
            parts.append(f"{len(self.timed_out)} did not reply")
        count = len(self.acknowledged)
        accepted_by = f"only {count} node{'s' * (count > 1)}" if count else "no node"
        no_contacts = "no other node was found" if count else "none was found"
        return f"{accepted_by} {action}: " + (", ".join(parts) or no_contacts)


class StoreResult(NamedTuple):
    """The result of storing one of many values."""

    key: bytes
    report: StoreReport | None
    """The result at each node; None if no node was asked."""
    error: Exception | None = None
    """Why the value was not stored; None if it was."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The values that one node returned."""

    contact: Contact
    """The node."""
    values: list[Any]
    """Its values of the key: int, bytes, list, or dict with bytes as keys."""


class FindResult(NamedTuple):
    """The result of finding the values of one of many keys."""

    key: bytes
    answers: list[Answer]
    """The values of each node; empty if none was found."""
    error: Exception | None = None
    """Why the key could not be looked up; None if it was."""


@dataclass(slots=True)
class BulkReport:
    """The results of a bulk operation so far."""

    succeeded: int = 0
    """Keys whose value was stored or found."""
    failed: Counter[str] = field(default_factory=Counter)
    """Keys for which that failed, by reason."""
    lookups: int = 0
    """Lookups that several keys shared."""
    requests: int = 0
    """The queries of these lookups, and the stores to the nodes that they found."""

    def count(self, result: StoreResult | FindResult) -> None:
        """Count the result of a key."""
        if result.error is not None:
            self.failed[str(result.error)] += 1
        elif isinstance(result, FindResult) and not result.answers:
            self.failed["no value found"] += 1
        else:
            self.succeeded += 1


class Mail(NamedTuple):
    """A message to one reader, signed by its sender."""

    sender: bytes
    """The sender's ed25519 public key."""
    sent_at: float
    """Seconds since 1970, by the sender's clock."""
    value: Any


class PutResult(NamedTuple):
    """A stored record: its key, and the result at each node."""

    key: bytes
    report: StoreReport
    signed_record: SignedRecord | None = None
    """The record, if it is a signed one."""


class Pong(NamedTuple):
    """The reply to a ping: the callee, and the round-trip time in seconds."""

    contact: Contact
    rtt: float


class Publication(NamedTuple):
    """A published value."""

    key: bytes
    encoded: bytes
    """The value, bencoded."""
    ttl: int
    """Seconds that the value lives after each store."""
    seq: int = 0
    """The sequence number of each store: a later value of this node is not replaced."""

    @property
    def value(self) -> Any:
        """The value as readers find it."""
        return replies.decode_value(self.encoded)


class PublicationStore(Protocol):
    """Stores publications so that they survive the process."""

    def __iter__(self) -> Iterator[Publication]:
        """Return the stored publications; called when the node starts."""

    def put(self, publication: Publication) -> None:
        """Store a publication; it replaces that of the same key."""

    def remove(self, key: bytes) -> bool:
        """Remove a publication, and return whether there was one."""

    def swept_at(self) -> float:
        """Return the time that was saved last, 0 if none was; called when the node starts."""

    def save_swept_at(self, at: float) -> None:
        """Save the time up to which all values were stored that were due, in seconds since 1970."""

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None when all changes are durable, or with the reason why they were
        lost."""
