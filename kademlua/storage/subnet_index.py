"""SubnetIndex: the rows of a store on disk, sorted by the subnet that is charged for them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from kademlua.core.values.quotas import subnet_key
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.row_format import split_subnet_row_key, subnet_row_key


class SubnetIndex:
    """The database ``subnets``: a row for each value, with the sender's subnet first."""

    def __init__(self, environment: LmdbEnvironment, write_buffer: WriteBuffer) -> None:
        self._environment = environment
        self._write_buffer = write_buffer

    def add(self, address: bytes, value_row_key: bytes) -> None:
        """Add the row of a value that an address is charged for."""
        row_key = subnet_row_key(subnet_key(address), value_row_key)
        self._write_buffer.put("subnets", row_key, b"")

    def remove(self, address: bytes, value_row_key: bytes) -> None:
        """Remove the row of a value."""
        row_key = subnet_row_key(subnet_key(address), value_row_key)
        self._write_buffer.put("subnets", row_key, None)

    def first(self, subnet: bytes) -> bytes | None:
        """Return the key of the first value's row of a subnet; None if there is none."""
        row_key = next(self._row_keys(subnet_row_key(subnet, b"")), None)
        return None if row_key is None else split_subnet_row_key(row_key)[1]

    def of_key(self, subnet: bytes, key: bytes) -> list[bytes]:
        """Return the keys of the rows of a subnet's values under one key."""
        row_keys = self._row_keys(subnet_row_key(subnet, key))
        return [split_subnet_row_key(each)[1] for each in row_keys]

    def _row_keys(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the sorted keys with a prefix. It goes through all uncommitted changes."""
        changes: dict[bytes, bytes | None] = {}
        for batch in self._write_buffer.batches:
            changes |= batch.changes.get("subnets", {})
        added = sorted(
            row_key
            for row_key, data in changes.items()
            if data is not None and row_key.startswith(prefix)
        )
        on_disk = self._on_disk(prefix)
        return heapq.merge(added, (row_key for row_key in on_disk if row_key not in changes))

    def _on_disk(self, prefix: bytes) -> Iterator[bytes]:
        cursor = self._environment.cursor("subnets")
        has_row = cursor.set_range(prefix)
        while has_row and cursor.key().startswith(prefix):
            yield cursor.key()
            has_row = cursor.next()
