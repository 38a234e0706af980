"""LmdbStore and MemoryStore return the same results for the same operations.

Small quotas, so that most stores meet one of them: no subnet loses a value while it is below its
fair share, none fills a key, and the totals are exact.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kademlua.core.contact import Contact
from kademlua.core.errors import StaleValue, StoreRefused
from kademlua.core.params import Params
from kademlua.core.values.memory_store import MemoryStore
from kademlua.core.values.quotas import VALUE_OVERHEAD
from kademlua.core.values.store import Store, StoreEntry, check_tombstone
from kademlua.core.values.tombstones import Tombstone
from kademlua.core.wire.replies import REASON_REMOVED
from kademlua.runtime.clocks import Clocks
from kademlua.storage.lmdb_store import LmdbStore

KEYS = [b"k" * 20, b"o" * 20, b"\xff" * 20]
OWNERS = [
    *(Contact("192.0.2.1", port, bytes([port]) * 20) for port in (1, 2, 3)),
    Contact("192.0.2.2", 1, b"\xff" * 20),
    Contact("2001:db8::1", 1, b"\xff" * 20),
    Contact("2001:db8::2", 0xFFFF, b"\xff" * 20),
    Contact("198.51.100.1", 9, b"x" * 20),
]
HOLDERS = [OWNERS[0], OWNERS[-1], Contact("203.0.113.1", 9, b"h" * 20)]

Rows = dict[tuple[bytes, Contact], StoreEntry]


def subnet_of(owner: Contact, entry: StoreEntry) -> bytes:
    return (entry.sender or owner).diversity_prefix


def usages(rows: Rows) -> dict[bytes, tuple[int, int]]:
    """Return the values and the charged bytes of each subnet."""
    found: dict[bytes, tuple[int, int]] = {}
    for (_, owner), entry in rows.items():
        entries, charged = found.get(subnet_of(owner, entry), (0, 0))
        size = len(entry.encoded) + VALUE_OVERHEAD
        found[subnet_of(owner, entry)] = entries + 1, charged + size
    return found


class BothStores(RuleBasedStateMachine):
    """Random operations on both stores, with commits and restarts between them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="kademlua-test-"))
        self.wall_start = 1_000_000
        self.now = 0
        self.evicted_before = 0
        self.store: LmdbStore | None = None

    @initialize(
        drops=st.booleans(),
        entries=st.integers(2, 8),
        per_key=st.integers(1, 6),
        stored=st.integers(10, 60),
        of_address=st.integers(10, 60),
        by_address=st.integers(1, 6),
        by_key=st.integers(1, 3),
        full=st.integers(2, 8),
    )
    def begin(
        self,
        *,
        drops: bool,
        entries: int,
        per_key: int,
        stored: int,
        of_address: int,
        by_address: int,
        by_key: int,
        full: int,
    ) -> None:
        self.params = Params(
            overwrite_drops_others=drops,
            max_entries=entries,
            max_entries_per_key=per_key,
            subnet_limit_key=by_key,
            max_stored_bytes=full * VALUE_OVERHEAD + stored,
            max_bytes_per_address=full * VALUE_OVERHEAD + of_address,
            max_entries_per_address=by_address,
            max_value_bytes=10,
            max_ttl=25,
        )
        self.memory = MemoryStore(self.params)
        self.open()

    def open(self) -> None:
        self.store = LmdbStore(
            self.directory / "values",
            self.params,
            clocks=Clocks(clock=lambda: self.now, wall_clock=lambda: self.wall_start + self.now),
            in_background=False,
        )

    @property
    def disk(self) -> LmdbStore:
        assert self.store is not None
        return self.store

    def teardown(self) -> None:
        if self.store is not None:
            self.store.close()
        shutil.rmtree(self.directory)

    @rule(
        key=st.sampled_from(KEYS),
        owner=st.sampled_from(OWNERS),
        size=st.integers(1, 11),
        life=st.integers(0, 20),
        overwrite=st.booleans(),
        seq=st.integers(0, 4),
        sender=st.sampled_from([None, None, None, *HOLDERS]),
        repeats=st.sampled_from([1, 1, 1, 30]),
    )
    def put(
        self,
        key: bytes,
        owner: Any,
        *,
        size: int,
        life: int,
        repeats: int,
        overwrite: bool,
        seq: int,
        sender: Contact | None,
    ) -> None:
        drops_others = overwrite and self.params.overwrite_drops_others
        for step in range(repeats):
            encoded = bytes([97 + step % 26]) * size
            expires = self.now + (life + step) % 20
            entry = StoreEntry(encoded, expires, self.now, seq, sender, from_owner=sender is None)
            before = {
                each: entry for each, entry in self.rows().items() if entry.expires_at > self.now
            }
            refusals = []
            for store in (self.memory, self.disk):
                try:
                    check_tombstone(store.tombstones, key, owner, entry)
                    store.put(key, owner, entry, overwrite=overwrite)
                except StoreRefused as refusal:
                    refusals.append(refusal.reason)
            assert len(set(refusals)) * 2 == len(refusals)
            lost = before.keys() - self.rows().keys()
            evicted = {each for each in lost if each[0] != key or not drops_others}
            subnet_count = len(usages(before).keys() | {subnet_of(owner, entry)})
            for each in evicted:
                entries, charged = usages(before)[subnet_of(each[1], before[each])]
                assert (
                    entries * subnet_count > self.params.max_entries
                    or charged * subnet_count > self.params.max_stored_bytes
                )

    def rows(self) -> Rows:
        return {(key, owner): entry for key in KEYS for owner, entry in self.memory.entries(key)}

    @rule(key=st.sampled_from(KEYS), owner=st.sampled_from(OWNERS))
    def remove(self, key: bytes, owner: Any) -> None:
        assert self.memory.remove(key, owner) == self.disk.remove(key, owner)

    @rule(seconds=st.integers(0, 15))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        assert self.memory.expire(self.now) == self.disk.expire(self.now)
        assert self.disk.expire(self.now) == 0

    @rule(key=st.sampled_from(KEYS), limit=st.integers(-1, 6))
    def get(self, key: bytes, limit: int) -> None:
        found = self.disk.get(key, limit, self.now)
        assert found == self.memory.get(key, limit, self.now)

    @rule(
        key=st.sampled_from(KEYS),
        limit=st.integers(-1, 6),
        offset=st.integers(0, 6),
        max_bytes=st.integers(-1, 40),
    )
    def page(self, key: bytes, limit: int, offset: int, max_bytes: int) -> None:
        page = self.disk.page(key, limit, self.now, offset=offset, max_bytes=max_bytes)
        assert page == self.memory.page(key, limit, self.now, offset=offset, max_bytes=max_bytes)
        following = self.memory.get(key, offset + limit, self.now)[offset:] if limit > 0 else []
        values, remaining = page
        assert values == following[: len(values)]
        assert len(values) + remaining >= len(following)
        assert len(values) <= 1 or sum(map(len, values)) <= max_bytes

    @rule(key=st.sampled_from(KEYS), owner=st.sampled_from(OWNERS))
    def owners(self, key: bytes, owner: Any) -> None:
        oldest_first = list(self.memory.owners(key))
        assert list(self.disk.owners(key)) == oldest_first
        for store in (self.disk, self.memory):
            assert list(store.owners(key, newest_first=True)) == oldest_first[::-1]
        found = self.memory.owners_with_id(key, owner.id)
        assert set(self.disk.owners_with_id(key, owner.id)) == set(found)
        for each in found:
            assert self.disk.find(key, each) == self.memory.find(key, each)

    @rule(data=st.data(), flips=st.booleans())
    def index_is_damaged(self, data: Any, *, flips: bool) -> None:
        """Drop a row of the index by recency, or flip a bit of it; no value is lost."""
        self.evicted_before += self.disk.evicted_count
        self.disk.close()
        with lmdb.open(str(self.directory / "values"), subdir=False, lock=False, max_dbs=8) as env:
            database = env.open_db(b"recent")
            with env.begin(write=True, db=database) as txn:
                rows = list(txn.cursor())
                if rows:
                    key, row = data.draw(st.sampled_from(rows))
                    txn.delete(key, row)
                    if flips:
                        flipped = bytearray(row)
                        flipped[data.draw(st.integers(0, len(row) - 1))] ^= 1
                        txn.put(key, bytes(flipped))
        self.open()

    @rule()
    def flush(self) -> None:
        self.disk.flush()

    @rule()
    def keep(self) -> None:
        reasons: list[str | None] = []
        self.disk.when_durable(reasons.append)
        assert reasons == [None]

    @rule()
    def close_and_open(self) -> None:
        self.evicted_before += self.disk.evicted_count
        self.disk.close()
        self.open()

    @invariant()
    def same(self) -> None:
        if self.store is None:
            return
        assert len(self.disk) == len(self.memory)
        assert self.disk.stored_bytes == self.memory.stored_bytes
        assert list(self.disk.keys()) == sorted(self.memory.keys())
        for key in KEYS:
            assert self.disk.count(key) == self.memory.count(key)
            assert self.disk.entries(key) == self.memory.entries(key)
            for owner in OWNERS:
                found = self.disk.tombstones.get(key, owner, self.now)
                assert found == self.memory.tombstones.get(key, owner, self.now)
            subnets = Counter(subnet_of(*each) for each in self.memory.entries(key))
            assert max(subnets.values(), default=0) <= self.params.subnet_limit_key
        assert self.disk.evicted_count + self.evicted_before == self.memory.evicted_count
        rows = self.rows()
        assert len(self.memory) == len(rows) <= self.params.max_entries
        assert self.memory.stored_bytes == sum(len(each.encoded) for each in rows.values())
        charged = sum(each for _, each in usages(rows).values())
        assert charged <= self.params.max_stored_bytes
        ends = [entry.expires_at for key in KEYS for _, entry in self.memory.entries(key)]
        due = self.disk.next_expiry()
        if ends:
            assert due is not None
            assert due <= min(ends)


TestBothStores = BothStores.TestCase
TestBothStores.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(Params(max_ttl=1_000))
        return
    clocks = Clocks(clock=lambda: 0.0, wall_clock=lambda: 1.8e9)
    path = tmp_path / "values"
    store = LmdbStore(path, Params(max_ttl=1_000), clocks=clocks, in_background=False)
    yield store
    store.close()


class TestMoreExpiredValuesThanAPutRemoves:
    """The value that a put replaces is removed first, although others expired before it."""

    OWNER = OWNERS[0]
    KEY = KEYS[0]

    @pytest.fixture(autouse=True)
    def _expired(self, store: Store) -> None:
        for number in range(300):
            key = bytes([number % 256, number // 256]) * 10
            store.put(key, OWNERS[3], StoreEntry(b"1:x", 10.0, received_at=0.0))
        store.put(self.KEY, self.OWNER, StoreEntry(b"1:w", 20.0, received_at=0.0, seq=6))
        store.when_durable(lambda reason: None)

    def put(self, store: Store, encoded: bytes, seq: int, *, from_owner: bool) -> None:
        entry = StoreEntry(encoded, 90.0, received_at=30.0, seq=seq, from_owner=from_owner)
        store.put(self.KEY, self.OWNER, entry)

    def test_a_put_removes_few_of_them(self, store: Store) -> None:
        self.put(store, b"1:w", 6, from_owner=True)
        assert 190 < len(store) < 210

    def test_older_value_is_refused(self, store: Store) -> None:
        with pytest.raises(StaleValue):
            self.put(store, b"1:v", 5, from_owner=True)
        with pytest.raises(StoreRefused, match=REASON_REMOVED):
            self.put(store, b"1:v", 5, from_owner=False)
        assert store.find(self.KEY, self.OWNER) is None
        assert store.tombstones.get(self.KEY, self.OWNER, 30.0) == Tombstone(1_000.0, 5)

    @pytest.mark.parametrize(("encoded", "seq"), [(b"1:w", 6), (b"1:n", 7)])
    def test_transferred_value_is_stored(self, store: Store, encoded: bytes, seq: int) -> None:
        self.put(store, encoded, seq, from_owner=False)
        assert store.get(self.KEY, 1, 30.0) == [encoded]
