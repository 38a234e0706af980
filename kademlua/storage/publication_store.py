"""What a node publishes: the values that it sees to, by key, on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kademlua.core.results import Publication
from kademlua.storage.group_commit import Ledger
from kademlua.storage.row_format import pack_publication, read_publication


class Publications:
    """One value per key; the program takes them back with ``remove``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __iter__(self) -> Iterator[Publication]:
        """All of them, as they are when this is called; a damaged one is passed over."""
        for key, data in sorted(self._ledger.rows("publications").items()):
            found = read_publication(key, data)
            if found is not None:
                yield Publication(key, *found)

    def __len__(self) -> int:
        return len(self._ledger.rows("publications"))

    def get(self, key: bytes) -> Publication | None:
        """What is published under a key."""
        data = self._ledger.get("publications", key)
        found = read_publication(key, data) if data is not None else None
        return Publication(key, *found) if found is not None else None

    def put(self, key: bytes, encoded: bytes, ttl: int) -> None:
        """Publish a bencoded value under a key, in place of the former one."""
        self._ledger.put("publications", key, pack_publication(key, encoded, ttl))

    def remove(self, key: bytes) -> bool:
        """Publish nothing under a key any more; whether there was anything."""
        if self._ledger.get("publications", key) is None:
            return False
        self._ledger.put("publications", key, None)
        return True

    def kept(self, callback: Callable[[str | None], None]) -> None:
        """Call back once all changes so far outlive the process, with None; or with the
        reason why they can't."""
        self._ledger.kept(callback)
