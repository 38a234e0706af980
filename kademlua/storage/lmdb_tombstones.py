"""LmdbTombstones: tombstones that survive the process, in the database ``tombstones``."""

from __future__ import annotations

from collections.abc import Callable

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.values.tombstones import Tombstone, Tombstones
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import pack_tombstone, unpack_tombstone


class LmdbTombstones:
    """Loads the tombstones of a store when it is opened, and saves each change."""

    def __init__(self, write_buffer: WriteBuffer, to_wall_us: Callable[[float], int]) -> None:
        self._write_buffer = write_buffer
        self._to_wall_us = to_wall_us

    def load(self, to_clock_seconds: Callable[[int], float]) -> Tombstones:
        """Return the saved tombstones; damaged ones are dropped."""
        tombstones = Tombstones()
        for row_key, data in list(self._write_buffer.rows("tombstones")):
            found = unpack_tombstone(row_key, data)
            if found is None:
                self._write_buffer.drop_damaged("tombstones", row_key)
            else:
                expires_at_us, seq = found
                owner = Contact.from_compact(row_key[ID_BYTES:])
                tombstone = Tombstone(to_clock_seconds(expires_at_us), seq)
                tombstones.put(row_key[:ID_BYTES], owner, tombstone)
        tombstones.persist = self._save
        return tombstones

    def _save(self, row_key: bytes, tombstone: Tombstone | None) -> None:
        data = None
        if tombstone is not None:
            expires_at_us = self._to_wall_us(tombstone.expires_at)
            data = pack_tombstone(row_key, expires_at_us, tombstone.seq)
        self._write_buffer.put("tombstones", row_key, data)
