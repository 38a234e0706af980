"""Keeping: what a node takes into its store, and under which conditions.

Plain values stand beside each other, one of each owner. A record that proves itself has its key
for itself, whoever brought it: what is there goes when it comes, and nothing gets in beside it.
"""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    RecordExpired,
    RecordStale,
    StoreRefused,
    SwapRefused,
)
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.store import Entry, Store
from kademlua.core.values.tombstones import Tombstones
from kademlua.crypto import signing
from kademlua.runtime.context import Context

HAS_RECORD = "the key has a record"
"""Why a plain value is refused."""


class Keeping:
    """The way into one node's store."""

    __slots__ = ("_store", "_wall")

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._wall = context.wall

    def put(
        self,
        key: bytes,
        owner: Contact,
        encoded: bytes,
        *,
        now: float,
        expires: float,
        overwrite: bool = False,
        is_direct: bool = True,
        swaps: int | None = None,
    ) -> None:
        """Keep a bencoded value as ``Store.put`` does, or a record by the rules of records.

        A signed record replaces one with a lower sequence number; where ``swaps`` is given,
        only one with just this number. Raises StoreRefused, or what kind of RecordRefused
        it is.
        """
        signed = records.read_signed(encoded)
        if signed is None and not records.is_immutable(key, encoded):
            found = self._store.get(key, 1, now)
            # The same value once more, as is usual, need not be looked at a second time.
            if found and found[0] != encoded and records.is_record(key, found[0]):
                raise StoreRefused(HAS_RECORD)
            self._store.put(
                key,
                owner,
                encoded,
                now=now,
                expires=expires,
                overwrite=overwrite,
                is_direct=is_direct,
            )
            return
        held = self._held(key, now)
        if held is not None and held[1].encoded == encoded:
            # Who brings it again can make it last longer, but nobody can end it sooner.
            owner, entry = held
            expires = max(entry.expires, self._end(signed, now, expires))
        elif signed is not None:
            former = records.read_signed(held[1].encoded) if held is not None else None
            expires = self._check(signed, key, former, swaps, now, expires)
        elif held is not None:
            raise StoreRefused(HAS_RECORD)  # another one with the same SHA-1
        if held is None:
            for other, _ in self._store.entries(key):
                self._store.remove(key, other)
        else:
            owner = held[0]  # in its place, so that it is never gone for want of room
        self._store.put(key, owner, encoded, now=now, expires=expires)

    def _held(self, key: bytes, now: float) -> tuple[Contact, Entry] | None:
        """The record of a key that is there, with the one who brought it first."""
        entries = self._store.entries(key)
        if len(entries) == 1:  # else they are plain ones: a record stands alone
            owner, entry = entries[0]
            if entry.expires > now and records.is_record(key, entry.encoded):
                return owner, entry
        return None

    def _check(
        self,
        signed: SignedRecord,
        key: bytes,
        former: SignedRecord | None,
        swaps: int | None,
        now: float,
        expires: float,
    ) -> float:
        """When a signed record is to end that may be taken; the signature comes last, since
        all else costs less."""
        records.check_place(signed, key)
        ends = self._end(signed, now, expires)
        if ends <= now:
            raise RecordExpired
        if former is not None:
            if swaps is not None and former.seq != swaps:
                raise SwapRefused
            if signed.seq <= former.seq:
                raise RecordStale
        records.check_signature(signed, signing.verify)
        return ends

    def _end(self, signed: SignedRecord | None, now: float, expires: float) -> float:
        """When it ends by the node's clock: with its time to live, or as its signer said."""
        if signed is None or signed.expires is None:
            return expires
        return min(expires, now + (signed.expires - self._wall()))


def remove(store: Store, tombstones: Tombstones, key: bytes, owner: Contact, ends: float) -> bool:
    """Take an owner's value away and raise a tombstone until it would have ended, or until
    ``ends`` if that is later; whether there was one. A record stays: it is its signer's, and
    whoever brought it is no more than that."""
    for each, entry in store.entries(key):
        if each == owner:
            if records.is_record(key, entry.encoded):
                return False
            ends = max(ends, entry.expires)
    tombstones.put(key, owner, ends)
    return store.remove(key, owner)
