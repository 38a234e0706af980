"""The published values of a node, by key, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kademlua.core.results import Publication
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import (
    SWEPT_KEY,
    pack_publication,
    seal,
    to_microseconds,
    unpack_publication,
    unseal,
)


class LmdbPublicationStore:
    """One published value per key."""

    def __init__(self, write_buffer: WriteBuffer) -> None:
        self._write_buffer = write_buffer

    def __iter__(self) -> Iterator[Publication]:
        """Yield all publications; damaged ones are dropped."""
        for key, data in sorted(self._write_buffer.rows("publications")):
            found = unpack_publication(key, data)
            if found is not None:
                yield Publication(key, *found)
            else:
                self._write_buffer.drop_damaged("publications", key)

    def __len__(self) -> int:
        return sum(1 for _ in self._write_buffer.rows("publications"))

    def get(self, key: bytes) -> Publication | None:
        """Return the publication of a key; None if there is none."""
        data = self._write_buffer.get("publications", key)
        if data is None:
            return None
        found = unpack_publication(key, data)
        if found is None:
            self._write_buffer.drop_damaged("publications", key)
            return None
        return Publication(key, *found)

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

    def swept_at(self) -> float:
        """Return the time that was saved last, 0 if none was or it is damaged."""
        data = self._write_buffer.get("meta", SWEPT_KEY)
        return int.from_bytes(unseal(SWEPT_KEY, data or b"") or b"", "big") / 1e6

    def save_swept_at(self, at: float) -> None:
        """Save the time up to which all values were stored that were due."""
        microseconds = to_microseconds(at).to_bytes(8, "big")
        self._write_buffer.put("meta", SWEPT_KEY, seal(SWEPT_KEY, microseconds))

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None when all changes are durable, or with the reason why they were
        lost."""
        self._write_buffer.when_durable(callback)
