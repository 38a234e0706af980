"""The index by recency: what a request for a key with many values reads, and older files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import sha1
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import Clocks
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_store import LmdbStore
from kademlua.storage.row_format import FORMAT_KEY, pack_label

KEY, OTHER = sha1("key"), sha1("other")
VALUE = b"14000:" + bytes(14_000)
MANY = 1_000


def owner_of(number: int) -> Contact:
    """Each is in a subnet of its own, since one may not fill a key."""
    return Contact(f"203.{number // 200}.{number % 200}.1", 1 + number, sha1(str(number)))


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[], LmdbStore]]:
    stores = []

    def opened() -> LmdbStore:
        clocks = Clocks(clock=lambda: 0.0, wall_clock=lambda: 1.8e9)
        path = tmp_path / "values"
        stores.append(LmdbStore(path, Params(), clocks=clocks, in_background=False))
        return stores[-1]

    yield opened
    stores[-1].close()


def put(store: LmdbStore, number: int, value: bytes = VALUE, key: bytes = KEY) -> None:
    store.put(key, owner_of(number), StoreEntry(value, 100.0, received_at=0.0))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the rows that are read from the file, by database."""
    counted: Counter[str] = Counter()
    get = LmdbEnvironment.get

    def counting_get(self: LmdbEnvironment, db_name: str, row_key: bytes) -> bytes | None:
        counted[db_name] += 1
        return get(self, db_name, row_key)

    monkeypatch.setattr(LmdbEnvironment, "get", counting_get)
    return counted


REQUESTS: dict[str, Callable[[LmdbStore], object]] = {
    "get": lambda store: store.get(KEY, 1, 0.0),
    "page": lambda store: store.page(KEY, 4_096, 0.0, max_bytes=1_168),
    "last page": lambda store: store.page(KEY, 9, 0.0, offset=store.count(KEY) - 1),
    "put": lambda store: put(store, MANY),
    "put again": lambda store: put(store, 0),
    "find": lambda store: store.find(KEY, owner_of(0)),
    "remove": lambda store: store.remove(KEY, owner_of(0)),
    "count": lambda store: store.count(KEY),
    "owners": lambda store: list(store.owners(KEY)),
    "owners of an id": lambda store: store.owners_with_id(KEY, owner_of(0).id),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_reads_as_many_values_from_a_large_key_as_from_a_small_one(
    open_store: Callable[[], LmdbStore], reads: Counter[str], name: str
) -> None:
    store = open_store()
    counts = []
    for numbers in (range(1), range(1, MANY)):
        for number in numbers:
            put(store, number)
        store.flush()
        reads.clear()
        REQUESTS[name](store)
        counts.append(dict(reads))
        put(store, 0)  # as before, if it was removed
        store.remove(KEY, owner_of(MANY))
        store.flush()
    assert counts[0] == counts[1]
    assert counts[0].get("values", 0) <= 1


def test_pages_read_each_value_once(
    open_store: Callable[[], LmdbStore], reads: Counter[str]
) -> None:
    store = open_store()
    for number in range(100):
        put(store, number, b"100:%0100d" % number)
    store.flush()
    reads.clear()
    found: list[bytes] = []
    while True:
        values, remaining = store.page(KEY, 4_096, 0.0, offset=len(found), max_bytes=1_040)
        found += values
        assert len(found) + remaining == 100
        if not remaining:
            break
    assert found == [b"100:%0100d" % number for number in reversed(range(100))]
    assert reads["values"] < 110  # one more for each page, which did not fit


def to_format_2(path: Path) -> None:
    """Change a file as if the version before the index had written it."""
    with (
        lmdb.open(str(path), subdir=False, lock=False, max_dbs=8) as env,
        env.begin(write=True) as txn,
    ):
        txn.drop(env.open_db(b"recent", txn=txn), delete=True)
        txn.put(FORMAT_KEY, pack_label("values", 2))


def remove_index(path: Path) -> None:
    with (
        lmdb.open(str(path), subdir=False, lock=False, max_dbs=8) as env,
        env.begin(write=True) as txn,
    ):
        txn.drop(env.open_db(b"recent", txn=txn), delete=True)


@pytest.mark.parametrize(
    ("change", "level"), [(to_format_2, logging.INFO), (remove_index, logging.WARNING)]
)
def test_missing_index_is_computed_at_opening(
    open_store: Callable[[], LmdbStore],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], None],
    level: int,
) -> None:
    caplog.set_level(logging.INFO)
    store = open_store()
    for number in (2, 0, 1):
        put(store, number, b"i%de" % number)
    put(store, 5, b"i5e", OTHER)
    store.close()
    change(tmp_path / "values")
    for _ in range(2):
        store = open_store()
        assert store.get(KEY, 9, 0.0) == [b"i1e", b"i0e", b"i2e"]
        assert store.get(OTHER, 9, 0.0) == [b"i5e"]
        assert list(store.keys()) == sorted([KEY, OTHER])
        store.close()
    assert [record.levelno for record in caplog.records] == [level]
