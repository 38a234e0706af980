"""RecencyIndex: the values of each key in a store on disk, the most recent first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from kademlua.core.ids import ID_BYTES
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.row_format import ValueRow, pack_recency, unpack_recency

_KEYS_PER_READ = 1_000


class RecencyIndex:
    """The database ``recent``: several rows for each key, one for each of its values.

    LMDB sorts and counts the rows of a key, so that a request reads only the values that it
    returns. Rows have no checksum, because the row of the value confirms them.
    """

    def __init__(self, environment: LmdbEnvironment, write_buffer: WriteBuffer) -> None:
        self._environment = environment
        self._write_buffer = write_buffer

    def add(self, value_row_key: bytes, value_row: ValueRow) -> None:
        """Add the row of a value, which the index does not contain."""
        key, row = _split(value_row_key, value_row)
        self._write_buffer.put_index_row(key, row, is_present=True)

    def remove(self, value_row_key: bytes, value_row: ValueRow) -> bool:
        """Remove the row of a value, and return whether there was one."""
        key, row = _split(value_row_key, value_row)
        if not self._has(key, row):
            return False
        self._write_buffer.put_index_row(key, row, is_present=False)
        return True

    def contains(self, value_row_key: bytes, value_row: ValueRow) -> bool:
        """Return whether a value has its row."""
        return self._has(*_split(value_row_key, value_row))

    def rows(self, key: bytes) -> Iterator[bytes]:
        """Yield the rows of a key, the most recent value first.

        The caller does not yield to other greenlets meanwhile.
        """
        cursor = self._environment.cursor("recent")
        on_disk = cursor.iternext_dup(keys=False, values=True) if cursor.set_key(key) else iter(())
        changes = self._changes(key)
        if not changes:
            return on_disk
        added = sorted(row for row, is_present in changes.items() if is_present)
        return heapq.merge(added, (row for row in on_disk if row not in changes))

    def all_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys and rows; the caller may change them meanwhile."""
        for key in self.keys():
            for row in list(self.rows(key)):
                yield key, row

    def count(self, key: bytes) -> int:
        """Return the number of rows of a key, without reading them."""
        cursor = self._environment.cursor("recent")
        count: int = cursor.count() if cursor.set_key(key) else 0
        for batch in self._write_buffer.batches:
            if key in batch.index:
                for is_present in batch.index[key].values():
                    count += 1 if is_present else -1
        return count

    def owners(self, key: bytes, *, newest_first: bool) -> Iterator[bytes]:
        """Yield the owners that a key has now, packed; the caller may change them meanwhile."""
        rows = list(self.rows(key))
        for row in rows if newest_first else reversed(rows):
            yield unpack_recency(row)[2]

    def owners_with_id(self, key: bytes, owner_id: bytes) -> list[bytes]:
        """Return the owners of a key's values with this id, packed."""
        prefix = key + owner_id
        found = {unpack_recency(row)[2] for row in self._changes(key)}
        found = {owner for owner in found if owner.startswith(owner_id)}
        cursor = self._environment.cursor("values")
        has_row = cursor.set_range(prefix)
        while has_row and cursor.key().startswith(prefix):
            found.add(cursor.key()[ID_BYTES:])
            has_row = cursor.next()
        get = self._write_buffer.get
        return sorted(owner for owner in found if get("values", key + owner) is not None)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have rows, sorted; concurrent changes may or may not appear."""
        last_key = b""
        while found := self._keys_after(last_key):
            yield from found
            last_key = found[-1]

    def _keys_after(self, after_key: bytes) -> list[bytes]:
        """Return some keys after ``after_key``, sorted; none at the end."""
        found: set[bytes] = set()
        cursor = self._environment.cursor("recent")
        has_row = cursor.set_range(after_key) if after_key else cursor.first()
        if has_row and cursor.key() == after_key:
            has_row = cursor.next_nodup()
        while has_row and len(found) < _KEYS_PER_READ:
            found.add(cursor.key())
            has_row = cursor.next_nodup()
        last_read = max(found) if has_row else None
        changed: set[bytes] = set().union(*(batch.index for batch in self._write_buffer.batches))
        found.update(
            key for key in changed if key > after_key and (last_read is None or key <= last_read)
        )
        existing = [key for key in found if key not in changed or self.count(key)]
        if not existing and last_read is not None:
            return self._keys_after(last_read)
        return sorted(existing)

    def _has(self, key: bytes, row: bytes) -> bool:
        is_present = self._changes(key).get(row)
        if is_present is not None:
            return is_present
        found: bool = self._environment.cursor("recent").set_key_dup(key, row)
        return found

    def _changes(self, key: bytes) -> dict[bytes, bool]:
        """Return the uncommitted changes of a key's rows."""
        changes: dict[bytes, bool] = {}
        for batch in self._write_buffer.batches:
            if key in batch.index:
                changes |= batch.index[key]
        return changes


def _split(value_row_key: bytes, value_row: ValueRow) -> tuple[bytes, bytes]:
    """Return the key of a value and its row in the index."""
    owner = value_row_key[ID_BYTES:]
    return value_row_key[:ID_BYTES], pack_recency(
        value_row.sequence, value_row.expires_at_us, owner
    )
