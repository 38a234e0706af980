"""LmdbStore: commits, restarts and damaged files."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import lmdb
import pytest

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import Clocks
from kademlua.storage import group_commit, lmdb_environment
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_errors import CorruptFile
from kademlua.storage.lmdb_store import LmdbStore

KEY, OTHER = b"k" * 20, b"o" * 20
ANNA = Contact("192.0.2.1", 1, b"A" * 20)
BERT = Contact("192.0.2.2", 2, b"B" * 20)
HIGH_QUOTAS = Params(
    max_entries=10**9,
    max_entries_per_address=10**9,
    max_stored_bytes=1 << 40,
    max_bytes_per_address=1 << 40,
)

Open = Callable[..., LmdbStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Open the store in the test's directory; its clocks stand."""
    stores = []
    clocks = Clocks(clock=lambda: 0.0, wall_clock=lambda: 1.8e9)

    def opened(*, in_background: bool = False) -> LmdbStore:
        path = tmp_path / "values"
        stores.append(LmdbStore(path, HIGH_QUOTAS, clocks=clocks, in_background=in_background))
        return stores[-1]

    yield opened
    for store in stores:
        try:
            store.close()
        except lmdb.Error:
            pass  # the test closed it


def put(store: LmdbStore, key: bytes = KEY, value: bytes = b"1:a", expires: float = 100.0) -> None:
    store.put(key, ANNA, StoreEntry(value, expires, received_at=0.0))


def test_newer_format_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    LmdbEnvironment(path, "values", 2, ["values"]).close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="format 2, this Kademlua reads up to 1") as caught:
        LmdbEnvironment(path, "values", 1, ["values"])
    assert not isinstance(caught.value, CorruptFile)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["node", "value"])
def test_file_of_another_kind_is_corrupt(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    LmdbEnvironment(path, "values", 1, ["values"]).close()
    with pytest.raises(CorruptFile, match="another kind"):
        LmdbEnvironment(path, kind, 1, ["values"])


def test_lmdb_file_of_another_program_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with lmdb.open(str(path), subdir=False) as env, env.begin(write=True) as txn:
        txn.put(b"foreign", b"1")
    with pytest.raises(CorruptFile, match="another program wrote it"):
        LmdbEnvironment(path, "values", 1, ["values"])


def test_damaged_row_is_removed(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    put(store, value=b"20:" + b"x" * 20)
    put(store, OTHER)
    store.close()
    path = tmp_path / "values"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"20:xxxx", b"20:xyxx"))
    store = open_store()
    assert len(store) == 2
    assert store.get(KEY, 1, 0.0) == []
    assert (len(store), store.stored_bytes) == (1, 3)
    assert store.get(OTHER, 1, 0.0) == [b"1:a"]
    assert list(store.keys()) == [OTHER]
    put(store)
    assert store.get(KEY, 1, 0.0) == [b"1:a"]
    assert store.expire(100.0) == 2


def test_map_grows_with_the_values(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_environment, "_INITIAL_MAP_BYTES", 1 << 16)
    store = open_store()
    rng = random.Random(1)
    keys = [rng.randbytes(20) for _ in range(3_000)]
    for number, key in enumerate(keys):
        put(store, key, b"100:" + bytes(100))
        if number % 500 == 0:
            store.flush()
    store.close()
    store = open_store()
    assert len(store) == 3_000
    assert list(store.keys()) == sorted(keys)
    assert all(store.get(key, 1, 0.0) for key in keys)


def test_expired_values_are_removed_in_batches(open_store: Open) -> None:
    store = open_store()
    rng = random.Random(1)
    for _ in range(6_000):
        put(store, rng.randbytes(20))
    store.flush()
    store.put(KEY, BERT, StoreEntry(b"1:b", 500.0, received_at=100.0))
    assert len(store) == 5_901
    assert store.expire(100.0) == 5_000
    assert store.expire(100.0) == 900
    assert store.expire(100.0) == 0
    assert list(store.keys()) == [KEY]


@pytest.mark.parametrize("is_stale", [False, True])
def test_damaged_index_of_subnets_is_computed_again(tmp_path: Path, is_stale: bool) -> None:
    path, params = tmp_path / "values", Params(max_entries=3)
    clocks = Clocks(clock=lambda: 0.0, wall_clock=lambda: 1.8e9)
    store = LmdbStore(path, params, clocks=clocks, in_background=False)
    for number in range(3):
        put(store, bytes([number]) * 20)
    store.close()
    with lmdb.open(str(path), subdir=False, lock=False, max_dbs=8) as env:
        database = env.open_db(b"subnets", create=False)
        with env.begin(write=True, db=database) as txn:
            rows = [key for key, _ in txn.cursor()]
            for row in rows:
                txn.delete(row)
                if is_stale:
                    txn.put(row[:4] + b"\0" * 20 + row[24:-1] + b"?", b"")
    store = LmdbStore(path, params, clocks=clocks, in_background=False)
    store.put(KEY, Contact("198.51.100.1", 1, b"C" * 20), StoreEntry(b"1:c", 100.0, received_at=0))
    assert (len(store), store.evicted_count) == (3, 1)
    assert sorted(store.keys()) == [b"\1" * 20, b"\2" * 20, KEY]
    store.close()


# Commits


class Disk:
    """A replacement of the committing thread, which the test can delay or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: list[Exception] = []
        self.go = gevent.event.Event()
        self.commits = 0
        monkeypatch.setattr(group_commit, "commit_in_thread", self.commit)

    def commit(self, commit: Callable[[], None]) -> None:
        self.go.wait()
        self.commits += 1
        if self.errors:
            raise self.errors.pop()
        commit()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_commits_are_grouped_and_reported_when_durable(open_store: Open, disk: Disk) -> None:
    store = open_store(in_background=True)
    reasons: list[Any] = []
    for number in range(10):
        put(store, bytes([number]) * 20)
        store.when_durable(reasons.append)
    gevent.sleep(0)  # the commit has started
    put(store, OTHER)
    store.when_durable(lambda reason: reasons.append("later"))
    assert reasons == []
    assert len(store) == 11
    assert store.get(OTHER, 1, 0.0) == [b"1:a"]
    assert len(list(store.keys())) == 11
    disk.go.set()
    store.flush()
    assert reasons == [None] * 10 + ["later"]
    assert disk.commits == 2
    store.when_durable(reasons.append)
    assert reasons[-1] is None


def test_failed_commit_drops_later_changes(open_store: Open, disk: Disk) -> None:
    store = open_store(in_background=True)
    disk.go.set()
    put(store, value=b"1:x")
    store.flush()
    disk.go.clear()
    reasons: list[Any] = []
    put(store, value=b"1:y")
    put(store, OTHER)
    store.when_durable(reasons.append)
    gevent.sleep(0)
    put(store, OTHER, value=b"1:z")
    store.when_durable(reasons.append)
    disk.errors.append(lmdb.DiskError("mdb_txn_commit: No space left on device"))
    disk.go.set()
    store.flush()
    assert reasons == ["the disk is full"] * 2
    assert store.get(KEY, 1, 0.0) == [b"1:x"]
    assert (len(store), store.stored_bytes, list(store.keys())) == (1, 3, [KEY])
    assert store.expire(100.0) == 1
    put(store, OTHER)
    store.when_durable(reasons.append)
    store.flush()
    assert reasons[-1] is None


def test_repeated_failure_is_one_warning(
    open_store: Open, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = open_store(in_background=True)
    disk.go.set()
    for _ in range(2):
        for _ in range(3):
            disk.errors.append(lmdb.DiskError("mdb_txn_commit: No space left on device"))
            put(store)
            store.flush()
        put(store)
        store.flush()
    warning, recovery = (logging.WARNING, logging.INFO)
    assert [record.levelno for record in caplog.records] == [warning, recovery] * 2


def test_file_is_reopened_after_an_lmdb_panic(open_store: Open, disk: Disk) -> None:
    store = open_store(in_background=True)
    disk.go.set()
    put(store)
    store.flush()
    disk.errors.append(lmdb.PanicError("mdb_txn_begin: MDB_PANIC"))
    put(store, OTHER)
    reasons: list[Any] = []
    store.when_durable(reasons.append)
    store.flush()
    assert reasons == ["the disk can't be written"]
    put(store, OTHER)
    store.when_durable(reasons.append)
    store.flush()
    assert reasons[-1] is None
    assert list(store.keys()) == [KEY, OTHER]


def test_file_that_is_gone_is_still_read_after_an_lmdb_panic(
    open_store: Open, disk: Disk, tmp_path: Path
) -> None:
    store = open_store(in_background=True)
    disk.go.set()
    put(store)
    store.flush()
    disk.go.clear()
    reasons: list[Any] = []
    put(store, OTHER)
    store.when_durable(reasons.append)
    gevent.sleep(0)  # the commit has started
    (tmp_path / "values").rename(tmp_path / "elsewhere")
    disk.errors.append(lmdb.PanicError("mdb_txn_commit: MDB_PANIC"))
    disk.go.set()
    store.flush()
    assert reasons == ["the disk can't be written"]
    assert (len(store), store.get(KEY, 1, 0.0), store.get(OTHER, 1, 0.0)) == (1, [b"1:a"], [])
    (tmp_path / "elsewhere").rename(tmp_path / "values")
    put(store, OTHER)
    store.when_durable(reasons.append)
    store.flush()
    assert reasons[1:] == [None]


def test_failing_callback_does_not_stop_the_others(open_store: Open) -> None:
    store = open_store(in_background=True)
    reasons: list[Any] = []
    put(store)
    store.when_durable(lambda reason: 1 // 0)
    store.when_durable(reasons.append)
    store.flush()
    assert reasons == [None]
