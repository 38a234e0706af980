"""Keeping: what a node takes into its store, and under which conditions.

Plain values stand beside each other, one of each owner. A record that proves itself has its key
for itself, whoever brought it: what is there goes when it comes, and nothing gets in beside it.
"""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    CasMismatch,
    RecordExpired,
    RecordStale,
    StoreRefused,
)
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.store import Store, StoreEntry
from kademlua.core.values.tombstones import Tombstones
from kademlua.crypto import signing
from kademlua.runtime.context import Context

REASON_HAS_RECORD = "the key has a record"
"""Why a plain value is refused."""


class AdmissionPolicy:
    """The way into one node's store."""

    __slots__ = ("_store", "_wall_clock")

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._wall_clock = context.wall_clock

    def admit(
        self,
        key: bytes,
        owner: Contact,
        new: StoreEntry,
        *,
        overwrite: bool = False,
        cas: int | None = None,
    ) -> None:
        """Keep a bencoded value as ``Store.put`` does, or a record by the rules of records.

        A signed record replaces one with a lower sequence number; where ``cas`` is given,
        only one with just this number. Raises StoreRefused, or what kind of RecordRefused
        it is.
        """
        encoded, expires_at, _, now = new
        signed = records.parse_signed(encoded)
        if signed is None and not records.is_immutable(key, encoded):
            found = self._store.get(key, 1, now)
            # The same value once more, as is usual, need not be looked at a second time.
            if found and found[0] != encoded and records.is_record(key, found[0]):
                raise StoreRefused(REASON_HAS_RECORD)
            self._store.put(key, owner, new, overwrite=overwrite)
            return
        current = self._current_record(key, now)
        if current is not None and current[1].encoded == encoded:
            # Who brings it again can make it last longer, but nobody can end it sooner.
            owner, entry = current
            expires_at = max(entry.expires_at, self._expiry(signed, now, expires_at))
        elif signed is not None:
            current_signed = (
                records.parse_signed(current[1].encoded) if current is not None else None
            )
            expires_at = self._check_signed(signed, key, current_signed, cas, now, expires_at)
        elif current is not None:
            raise StoreRefused(REASON_HAS_RECORD)  # another one with the same SHA-1
        if current is None:
            for other, _ in self._store.entries(key):
                self._store.remove(key, other)
        else:
            owner = current[0]  # in its place, so that it is never gone for want of room
        self._store.put(key, owner, StoreEntry(encoded, expires_at, received_at=now))

    def _current_record(self, key: bytes, now: float) -> tuple[Contact, StoreEntry] | None:
        """The record of a key that is there, with the one who brought it first."""
        entries = self._store.entries(key)
        if len(entries) == 1:  # else they are plain ones: a record stands alone
            owner, entry = entries[0]
            if entry.expires_at > now and records.is_record(key, entry.encoded):
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
        """When a signed record is to end that may be taken; the signature comes last, since
        all else costs less."""
        records.check_key(signed, key)
        expiry = self._expiry(signed, now, expires_at)
        if expiry <= now:
            raise RecordExpired
        if current is not None:
            if cas is not None and current.seq != cas:
                raise CasMismatch
            if signed.seq <= current.seq:
                raise RecordStale
        records.check_signature(signed, signing.verify)
        return expiry

    def _expiry(self, signed: SignedRecord | None, now: float, expires_at: float) -> float:
        """When it ends by the node's clock: with its time to live, or as its signer said."""
        if signed is None or signed.expires_at is None:
            return expires_at
        return min(expires_at, now + (signed.expires_at - self._wall_clock()))


def remove_with_tombstone(
    store: Store, tombstones: Tombstones, key: bytes, owner: Contact, tombstone_until: float
) -> bool:
    """Take an owner's value away and raise a tombstone until it would have ended, or until
    ``tombstone_until`` if that is later; whether there was one. A record stays: it is its
    signer's, and whoever brought it is no more than that."""
    for each, entry in store.entries(key):
        if each == owner:
            if records.is_record(key, entry.encoded):
                return False
            tombstone_until = max(tombstone_until, entry.expires_at)
    tombstones.put(key, owner, tombstone_until)
    return store.remove(key, owner)
