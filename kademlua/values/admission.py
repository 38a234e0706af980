"""Admission: which values and records a node accepts into its store.

A key holds plain values, one per owner, or a single self-certifying record (see BEP 44). A
valid record replaces the plain values of its key, and the key then refuses plain values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    CasMismatch,
    RecordExpired,
    RecordStale,
    StaleValue,
    StoreRefused,
)
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.store import Store, StoreEntry, check_tombstone
from kademlua.core.values.tombstones import RECORD_OWNER, Tombstone
from kademlua.crypto import signing

REASON_HAS_RECORD: Final = "the key has a record"
"""The refusal reason for a plain value, and for a second immutable record."""


class AdmissionPolicy:
    """Checks values and records before they enter a store: from peers, the node or a file."""

    __slots__ = ("_store", "_tombstones", "_wall_clock")

    def __init__(self, store: Store, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._tombstones = store.tombstones
        self._wall_clock = wall_clock

    def admit(
        self,
        key: bytes,
        owner: Contact,
        new: StoreEntry,
        *,
        overwrite: bool = False,
        cas: int | None = None,
    ) -> None:
        """Store a plain value or a record, or refuse it.

        ``new.received_at`` is the current time. ``overwrite`` affects plain values only. A
        signed record replaces one with a lower sequence number and, if ``cas`` is given, only
        one with exactly that number.

        Raises:
            StoreRefused: The store is full, the key has a record, the owner removed this value
                or stored a newer one.
            RecordRefused: The record is invalid, expired, stale or does not match ``cas``.
        """
        encoded, now = new.encoded, new.received_at
        signed = records.parse_signed(encoded)
        found = self._store.get(key, 1, now)
        # An owner's value is the first of most keys. Then a record is stored as any value is, and
        # the SHA-1 that would tell costs as much as the rest.
        is_first = new.from_owner and not found
        if signed is None and (is_first or not records.is_immutable(key, encoded)):
            # Most stores repeat the stored value, which needs no second check.
            if found and found[0] != encoded and records.is_record(key, found[0]):
                raise StoreRefused(REASON_HAS_RECORD)
            tombstone = check_tombstone(self._tombstones, key, owner, new)
            self._store.put(key, owner, new, overwrite=overwrite)
            # Otherwise it still rejects older values when the new one has been released.
            if tombstone is not None and (not new.seq or tombstone.expires_at <= new.expires_at):
                self._tombstones.remove(key, owner)
            return
        self._admit_record(key, owner, new, signed, cas)

    def _admit_record(
        self,
        key: bytes,
        owner: Contact,
        new: StoreEntry,
        signed: SignedRecord | None,
        cas: int | None,
    ) -> None:
        """Store a record in place of the key's values, or extend the life of the stored one.

        It is charged to the peer whose store was the last to change something.
        """
        encoded, expires_at, now = new.encoded, new.expires_at, new.received_at
        sender = new.sender or owner
        current = self._current_record(key, now)
        if current is not None and current[1].encoded == encoded:
            # A repeated store may extend the lifetime of a record, but not shorten it.
            entry = current[1]
            expires_at = self._expiry(signed, now, expires_at)
            if expires_at <= entry.expires_at:
                expires_at, sender = entry.expires_at, entry.sender or current[0]
        elif signed is not None:
            current_signed = (
                records.parse_signed(current[1].encoded) if current is not None else None
            )
            expires_at = self._check_signed(signed, key, current_signed, cas, now, expires_at)
        elif current is not None:
            raise StoreRefused(REASON_HAS_RECORD)  # an immutable record with the same SHA-1
        if current is None:
            for other in self._store.owners(key):
                self._store.remove(key, other)
        else:
            owner = current[0]  # replaces the old record in place, so a full store keeps it
        charged = None if sender == owner else sender
        self._store.put(
            key, owner, StoreEntry(encoded, expires_at, received_at=now, sender=charged)
        )

    def _current_record(self, key: bytes, now: float) -> tuple[Contact, StoreEntry] | None:
        """Return the stored record of a key with the contact that stored it first, or None.

        One that expired is replaced by its tombstone, if ``expire`` did not come to it yet.
        """
        if self._store.count(key) != 1:  # several are plain values, since a record is alone
            return None
        for owner, entry in self._store.entries(key):
            if entry.expires_at <= now:
                self._store.remove_if_expired(key, owner, now)
            elif records.is_record(key, entry.encoded):
                return owner, entry
        return None

    def _check_signed(
        self,
        signed: SignedRecord,
        key: bytes,
        current: SignedRecord | None,
        cas: int | None,
        now: float,
        expires_at: float,
    ) -> float:
        """Return the expiry time of an acceptable signed record, or raise RecordRefused.

        The signature is checked last, because it is the most expensive check.
        """
        records.check_key(signed, key)
        expiry = self._expiry(signed, now, expires_at)
        if expiry <= now:
            raise RecordExpired
        if current is not None:
            if cas is not None and current.seq != cas:
                raise CasMismatch
            if signed.seq <= current.seq:
                raise RecordStale
        expired = self._tombstones.get(key, RECORD_OWNER, now)
        if expired is not None and signed.seq < expired.seq:
            raise RecordStale
        records.check_signature(signed, signing.verify)
        return expiry

    def _expiry(self, signed: SignedRecord | None, now: float, expires_at: float) -> float:
        """Return when a record expires by the node's clock: by its TTL or by its signed expiry."""
        if signed is None or signed.expires_at is None:
            return expires_at
        return min(expires_at, now + (signed.expires_at - self._wall_clock()))


def remove_with_tombstone(
    store: Store, key: bytes, owner: Contact, tombstone_until: float, seq: int, *, now: float
) -> bool:
    """Remove an owner's value and leave a tombstone; return whether there was an unexpired value.

    The tombstone lasts until the value would have expired, or until ``tombstone_until`` if that
    is later. Records are not removed: they belong to their signer, not to the storing node.

    Raises:
        StaleValue: The value is newer than the removal, whose sequence number is ``seq``.
    """
    entry = store.find(key, owner)
    if entry is not None:
        if records.is_record(key, entry.encoded):
            return False
        if seq and seq < entry.seq:
            raise StaleValue(entry.seq)
        tombstone_until = max(tombstone_until, entry.expires_at)
    store.tombstones.put(key, owner, Tombstone(tombstone_until, seq))
    return store.remove(key, owner) and entry is not None and entry.expires_at > now
