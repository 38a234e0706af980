"""Store: the interface of a value store, its entries, and which of two values is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from kademlua.core.contact import Contact
from kademlua.core.errors import ConflictingValue, StaleValue, StoreRefused
from kademlua.core.values import records
from kademlua.core.values.tombstones import RECORD_OWNER, Tombstone, Tombstones
from kademlua.core.wire import replies

NO_LIMIT: Final = (1 << 63) - 1


class StoreEntry:
    """A stored value: bencoded bytes, its expiry time, and how it arrived. It never changes.

    A plain class, since a store creates one for each value: in a compiled build, a named tuple or a
    dataclass takes several times as long.
    """

    __slots__ = ("encoded", "expires_at", "from_owner", "received_at", "sender", "seq")

    def __init__(
        self,
        encoded: bytes,
        expires_at: float,
        received_at: float = 0.0,
        seq: int = 0,
        sender: Contact | None = None,
        *,
        from_owner: bool = True,
    ) -> None:
        self.encoded = encoded
        self.expires_at = expires_at
        self.from_owner = from_owner
        """Whether the owner stored it here; otherwise another holder transferred it."""
        self.received_at = received_at
        """When this node last received it, by its clock."""
        self.seq = seq
        """The owner's sequence number; 0 if its version has none."""
        self.sender = sender
        """The peer that is charged for the value; None: its owner."""

    def replaced(self, *, received_at: float | None = None, seq: int | None = None) -> StoreEntry:
        """Return a copy with another time of arrival or sequence number."""
        return StoreEntry(
            self.encoded,
            self.expires_at,
            self.received_at if received_at is None else received_at,
            self.seq if seq is None else seq,
            self.sender,
            from_owner=self.from_owner,
        )

    def _key(self) -> tuple[bytes, float, bool, float, int, Contact | None]:
        return (
            self.encoded,
            self.expires_at,
            self.from_owner,
            self.received_at,
            self.seq,
            self.sender,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreEntry) and self._key() == other._key()

    def __repr__(self) -> str:
        return f"StoreEntry{self._key()!r}"


ValuePage = tuple[list[bytes], int]
"""Some bencoded values of a key, most recent first, and the number of values that follow; it may
include some that expired recently."""


class Store(Protocol):
    """What a node requires of a store, in memory or on disk."""

    @property
    def is_durable(self) -> bool:
        """Whether values survive the process, so that ``when_durable`` has to wait."""

    @property
    def tombstones(self) -> Tombstones:
        """The marks of removed and expired values; as durable as the values."""

    @property
    def damage(self) -> str | None:
        """Why the values can neither be read nor stored any more; None while they can."""

    @property
    def evicted_count(self) -> int:
        """The number of values that yielded to those of other subnets since the store was
        opened."""

    def put(
        self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool = False
    ) -> None:
        """Store a value, received now (``entry.received_at``), if ``is_replacement`` permits it.

        Otherwise the earlier value stays, and is marked as received now. With ``overwrite``,
        other owners' values are removed if ``Params.overwrite_drops_others`` is set. The caller
        has checked the tombstones; those of values that expire now are checked here.

        If the store is full, the subnet with the most values or bytes yields to one below its fair
        share, which is the limit divided by the number of subnets with values: its value with the
        lowest key is removed.

        Raises:
            StoreRefused: a quota is reached; or see ``is_replacement`` and ``check_tombstone``.
        """

    def find(self, key: bytes, owner: Contact) -> StoreEntry | None:
        """Return an owner's value; None if there is none. It may have expired."""

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None when all changes are durable, or with the reason why they were
        lost."""

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""

    def page(
        self, key: bytes, limit: int, now: float, *, offset: int = 0, max_bytes: int = NO_LIMIT
    ) -> ValuePage:
        """Return the values of a key from the ``offset``-th on, as many as ``max_bytes`` hold.

        At most ``limit``, and at least one if there is any. No other value is read.
        """

    def count(self, key: bytes) -> int:
        """Return the number of values of a key, including expired ones not yet removed."""

    def owners(self, key: bytes, *, newest_first: bool = False) -> Iterator[Contact]:
        """Yield the owners of the values that a key has now, least recent first; read no value.

        The caller may change the store and yield to other greenlets meanwhile.
        """

    def owners_with_id(self, key: bytes, owner_id: bytes) -> list[Contact]:
        """Return those owners of the values of a key that have this id, in any order."""

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed.

        They are read at once. A greenlet reads them with ``owners`` and ``find``, in time slices.
        """

    def keys(self) -> Iterator[bytes]:
        """Return the keys that have values now."""

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""

    def expire(self, now: float) -> int:
        """Remove expired values with ``mark_expired``, some thousands at most.

        Return their number.
        """

    def remove_if_expired(self, key: bytes, owner: Contact, now: float) -> None:
        """Remove an owner's value as ``expire`` does, if it has expired."""

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""

    def __len__(self) -> int: ...

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""


def is_replacement(previous: StoreEntry, new: StoreEntry) -> bool:
    """Return whether a value replaces the owner's previous one; otherwise the previous one stays.

    The owner's own store replaces everything that is not newer. A transferred value replaces
    nothing and extends no life, because the sender's word is no proof. If it is newer, the holder
    compares its own with those of the other replicas.

    Raises:
        StaleValue: the previous value is newer.
        ConflictingValue: a transferred value claims to be newer.
    """
    if new.seq and new.seq < previous.seq:
        raise StaleValue(previous.seq)
    if new.seq > previous.seq and not new.from_owner and new.encoded != previous.encoded:
        raise ConflictingValue
    return new.from_owner


def is_cheap_replacement(previous: StoreEntry, new: StoreEntry) -> bool:
    """Return whether a value needs no more room than the one that it replaces: no check of quotas
    is necessary."""
    return new.sender == previous.sender and len(new.encoded) <= len(previous.encoded)


def check_tombstone(
    tombstones: Tombstones, key: bytes, owner: Contact, new: StoreEntry
) -> Tombstone | None:
    """Return the tombstone of an owner's value, if any, which must not reject the new value.

    Raises:
        StaleValue: the owner removed or replaced the new value.
        StoreRefused: likewise, of a transferred value.
    """
    tombstone = tombstones.get(key, owner, new.received_at)
    if tombstone is not None and tombstone.covers(new.seq):
        if not new.from_owner:
            raise StoreRefused(replies.REASON_REMOVED)
        if new.seq:
            raise StaleValue(tombstone.seq)
    return tombstone


def mark_expired(
    tombstones: Tombstones, key: bytes, owner: Contact, entry: StoreEntry, max_ttl: int
) -> None:
    """Leave a tombstone of an expired value, against the older ones that it replaced.

    A node that missed the replacement may still have one. It was stored before this value, so that
    it expires within ``max_ttl`` seconds after this node received this value.
    """
    seq = entry.seq - 1  # the owner may store the same value again
    signed = records.parse_signed(entry.encoded)
    if signed is not None:
        owner, seq = RECORD_OWNER, signed.seq
    until = entry.received_at + max_ttl
    if seq > 0 and until > entry.expires_at:
        tombstones.put(key, owner, Tombstone(until, seq))
