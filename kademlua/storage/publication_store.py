"""What a node publishes: the values that it sees to, by key, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kademlua.core.results import Publication
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import pack_publication, unpack_publication


class LmdbPublicationStore:
    """One value per key; the program takes them back with ``remove``."""

    def __init__(self, write_buffer: WriteBuffer) -> None:
        self._write_buffer = write_buffer

    def __iter__(self) -> Iterator[Publication]:
        """All of them, as they are when this is called; a damaged one is passed over."""
        for key, data in sorted(self._write_buffer.all_rows("publications").items()):
            found = unpack_publication(key, data)
            if found is not None:
                yield Publication(key, *found)

    def __len__(self) -> int:
        return len(self._write_buffer.all_rows("publications"))

    def get(self, key: bytes) -> Publication | None:
        """What is published under a key."""
        data = self._write_buffer.get("publications", key)
        found = unpack_publication(key, data) if data is not None else None
        return Publication(key, *found) if found is not None else None

    def put(self, key: bytes, encoded: bytes, ttl: int) -> None:
        """Publish a bencoded value under a key, in place of the former one."""
        self._write_buffer.put("publications", key, pack_publication(key, encoded, ttl))

    def remove(self, key: bytes) -> bool:
        """Publish nothing under a key any more; whether there was anything."""
        if self._write_buffer.get("publications", key) is None:
            return False
        self._write_buffer.put("publications", key, None)
        return True

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back once all changes so far outlive the process, with None; or with the
        reason why they can't."""
        self._write_buffer.when_durable(callback)
