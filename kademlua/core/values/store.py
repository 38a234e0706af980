"""Store: the interface of a value store, its entries and its quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params

ENTRY_UNIT = 1 << 64
"""One entry in an address's usage, which holds entries and bytes in one number."""


_BYTES_MASK = ENTRY_UNIT - 1


class StoreEntry(NamedTuple):
    """A stored value: bencoded bytes, its expiry time, and how it arrived."""

    encoded: bytes
    expires_at: float
    from_owner: bool = True
    """Whether the owner stored it here; otherwise another holder transferred it."""
    received_at: float = 0.0
    """When this node last received it, by its clock."""


class Store(Protocol):
    """What a node requires of a store, in memory or on disk."""

    @property
    def is_durable(self) -> bool:
        """Whether values survive the process, so that ``when_durable`` has to wait."""

    def put(
        self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool = False
    ) -> None:
        """Store a value, received now (``entry.received_at``); it replaces the owner's earlier one.

        A transferred value (not ``from_owner``) replaces only a transferred one that expires
        earlier; otherwise the earlier one stays, and is marked as received now. With
        ``overwrite``, other owners' values are removed if ``Params.overwrite_drops_others`` is set.

        Raises:
            StoreRefused: a quota is reached.
        """

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None when all changes are durable, or with the reason why they were
        lost."""

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""

    def keys(self) -> Iterator[bytes]:
        """Return the keys that have values now."""

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""

    def expire(self, now: float) -> int:
        """Remove expired values, and return their number."""

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""

    def __len__(self) -> int: ...

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""


def quota_key(owner: Contact) -> bytes:
    """Return what stands for an owner's address in quotas: an IPv4 address, or an IPv6 /64.

    An IPv6 host can use any address of its /64.
    """
    return owner.compact[ID_BYTES:-2][:8]


class QuotaUsage(NamedTuple):
    """What a store holds, without the values that a new one would replace."""

    entries: int
    key_entries: int
    """Values of the new value's key."""
    stored_bytes: int
    address_usage: int
    """Values of the owner's address, in ``ENTRY_UNIT`` and bytes."""


def check_quotas(params: Params, size: int, usage: QuotaUsage) -> None:
    """Check that a value of ``size`` bytes exceeds no quota.

    Raises:
        StoreRefused: a quota is reached.
    """
    entries, key_entries, stored_bytes, address_usage = usage
    if size > params.max_value_bytes:
        raise StoreRefused(f"value over {params.max_value_bytes} bytes")
    if entries >= params.max_entries:
        raise StoreRefused("no room for more values")
    if key_entries >= params.max_entries_per_key:
        raise StoreRefused("no room for more values of this key")
    if stored_bytes + size > params.max_stored_bytes:
        raise StoreRefused("no room for more bytes")
    if (address_usage & _BYTES_MASK) + size > params.max_bytes_per_address:
        raise StoreRefused("no room for more bytes of this address")
    if address_usage >> 64 >= params.max_entries_per_address:
        raise StoreRefused("no room for more values of this address")
