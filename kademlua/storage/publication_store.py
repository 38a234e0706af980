"""The published values of a node, by key, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kademlua.core.results import Publication
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import pack_publication, unpack_publication


class LmdbPublicationStore:
    """One published value per key."""

    def __init__(self, write_buffer: WriteBuffer) -> None:
        self._write_buffer = write_buffer

    def __iter__(self) -> Iterator[Publication]:
        """Yield all publications; damaged ones are skipped."""
        for key, data in sorted(self._write_buffer.all_rows("publications").items()):
            found = unpack_publication(key, data)
            if found is not None:
                yield Publication(key, *found)

    def __len__(self) -> int:
        return len(self._write_buffer.all_rows("publications"))

    def get(self, key: bytes) -> Publication | None:
        """Return the publication of a key; None if there is none."""
        data = self._write_buffer.get("publications", key)
        found = unpack_publication(key, data) if data is not None else None
        return Publication(key, *found) if found is not None else None

    def put(self, publication: Publication) -> None:
        """Store a publication; it replaces that of the same key."""
        row = pack_publication(*publication)
        self._write_buffer.put("publications", publication.key, row)

    def remove(self, key: bytes) -> bool:
        """Remove a publication, and return whether there was one."""
        if self._write_buffer.get("publications", key) is None:
            return False
        self._write_buffer.put("publications", key, None)
        return True

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None when all changes are durable, or with the reason why they were
        lost."""
        self._write_buffer.when_durable(callback)
