"""In-memory value store, compared with a simple model."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kademlua.core.contact import Contact
from kademlua.core.errors import ConflictingValue, StoreRefused
from kademlua.core.params import Params
from kademlua.core.values.memory_store import MemoryStore
from kademlua.core.values.quotas import VALUE_OVERHEAD
from kademlua.core.values.store import StoreEntry
from tests.core.strategies import make_contact

KEY, OTHER = b"k" * 20, b"o" * 20
ANNA, BERT, CARL = (make_contact(number) for number in (1, 2, 3))
ANNA_AGAIN = Contact(ANNA.addr, ANNA.port + 1, ANNA.id)
NEIGHBOUR = Contact(ANNA.addr.rpartition(".")[0] + ".77", 1, b"n" * 20)
"""In the subnet of Anna."""


def store_of(**params: Any) -> MemoryStore:
    return MemoryStore(Params(**params))


def put(
    store: MemoryStore,
    owner: Any,
    encoded: bytes,
    *,
    key: bytes = KEY,
    now: float = 0.0,
    expires: float = 100.0,
    overwrite: bool = False,
) -> None:
    store.put(key, owner, StoreEntry(encoded, expires, received_at=now), overwrite=overwrite)


def test_one_value_per_owner_and_key():
    store = store_of()
    put(store, ANNA, b"1:a")
    put(store, BERT, b"1:b")
    put(store, ANNA, b"1:A")
    put(store, ANNA, b"1:x", key=OTHER)
    assert store.get(KEY, 10, 0.0) == [b"1:A", b"1:b"]
    assert store.get(OTHER, 10, 0.0) == [b"1:x"]
    assert len(store) == 3
    assert store.stored_bytes == 9
    assert set(store.keys()) == {KEY, OTHER}


def transfer(
    store: MemoryStore, encoded: bytes, *, now: float = 0.0, expires: float = 100.0, seq: int = 0
) -> None:
    """Have a holder transfer a value of Anna."""
    store.put(KEY, ANNA, StoreEntry(encoded, expires, now, seq, BERT, from_owner=False))


@pytest.mark.parametrize("from_owner", [True, False])
@pytest.mark.parametrize("encoded", [b"1:a", b"1:b"])
def test_transferred_value_replaces_nothing_and_extends_no_life(
    from_owner: bool, encoded: bytes
) -> None:
    store = store_of()
    if from_owner:
        put(store, ANNA, b"1:a", expires=50.0)
    else:
        transfer(store, b"1:a", expires=50.0)
    transfer(store, encoded, now=7.0, expires=90.0)
    ((owner, entry),) = store.entries(KEY)
    assert owner == ANNA
    assert (entry.encoded, entry.expires_at, entry.seq) == (b"1:a", 50.0, 0)
    assert (entry.from_owner, entry.received_at) == (from_owner, 7.0)
    put(store, ANNA, b"1:c", now=8.0, expires=20.0)  # the owner's own word always counts
    assert store.get(KEY, 9, 8.0) == [b"1:c"]


def test_newer_transferred_value_is_a_conflict():
    store = store_of()
    transfer(store, b"1:a", seq=1)
    with pytest.raises(ConflictingValue):
        transfer(store, b"1:b", seq=2)
    assert store.get(KEY, 9, 0.0) == [b"1:a"]


def test_remove():
    store = store_of()
    put(store, ANNA, b"1:a")
    put(store, BERT, b"1:b")
    assert store.remove(KEY, ANNA)
    assert not store.remove(KEY, ANNA)
    assert not store.remove(OTHER, ANNA)
    assert store.get(KEY, 9, 0.0) == [b"1:b"]
    assert (len(store), store.stored_bytes) == (1, 3)
    assert store.entries(OTHER) == []


def test_memory_store_is_durable_immediately():
    said: list[str | None] = []
    store_of().when_durable(said.append)
    assert said == [None]


def test_latest_owner_comes_first():
    store = store_of()
    for owner, value in ((ANNA, b"1:a"), (BERT, b"1:b"), (CARL, b"1:c")):
        put(store, owner, value)
    assert store.get(KEY, 2, 0.0) == [b"1:c", b"1:b"]
    put(store, ANNA, b"1:a")
    assert store.get(KEY, 2, 0.0) == [b"1:a", b"1:c"]


@pytest.mark.parametrize("howmany", [0, -1, -(10**30)])
def test_limit_of_zero_gives_no_values(howmany):
    store = store_of()
    put(store, ANNA, b"1:a")
    assert store.get(KEY, howmany, 0.0) == []


def test_limit_above_the_count_gives_all_values():
    store = store_of()
    put(store, ANNA, b"1:a")
    assert store.get(KEY, 10**30, 0.0) == [b"1:a"]
    assert store.get(OTHER, 1, 0.0) == []


def test_overwriting_leaves_other_owners_alone():
    store = store_of()
    put(store, ANNA, b"1:a")
    put(store, BERT, b"1:b")
    put(store, ANNA, b"1:A", overwrite=True)
    assert store.get(KEY, 10, 0.0) == [b"1:A", b"1:b"]


def test_overwriting_drops_other_owners_as_the_original_did():
    store = store_of(overwrite_drops_others=True)
    put(store, ANNA, b"1:a")
    put(store, BERT, b"1:b")
    put(store, BERT, b"1:x", key=OTHER)
    put(store, CARL, b"1:C", overwrite=True)
    assert store.get(KEY, 10, 0.0) == [b"1:C"]
    assert store.get(OTHER, 10, 0.0) == [b"1:x"]
    assert (len(store), store.stored_bytes) == (2, 6)
    put(store, ANNA, b"1:a")  # without it, values are added there, too
    assert store.get(KEY, 10, 0.0) == [b"1:a", b"1:C"]


def test_value_expires_at_its_time():
    store = store_of()
    put(store, ANNA, b"1:a", expires=10.0)
    put(store, BERT, b"1:b", expires=20.0)
    assert store.next_expiry() == 10.0
    assert store.get(KEY, 10, 9.999) == [b"1:b", b"1:a"]
    assert store.get(KEY, 10, 10.0) == [b"1:b"]  # before anybody tidied up
    assert store.expire(10.0) == 1
    assert (len(store), store.stored_bytes) == (1, 3)
    assert store.expire(19.0) == 0
    assert store.expire(1000.0) == 1
    assert list(store.keys()) == []
    assert store.next_expiry() is None


def test_a_value_stored_again_lives_on():
    store = store_of()
    put(store, ANNA, b"1:a", expires=10.0)
    put(store, ANNA, b"1:a", now=5.0, expires=50.0)
    assert store.expire(10.0) == 0
    assert store.get(KEY, 1, 49.0) == [b"1:a"]
    put(store, ANNA, b"1:a", now=20.0, expires=30.0)  # or less long
    assert store.expire(30.0) == 1
    assert len(store) == 0


def test_refusals_say_why():
    cases: list[tuple[dict[str, int], str]] = [
        ({"max_value_bytes": 2}, "value over 2 bytes"),
        ({"max_entries": 1}, "no room for more values"),
        ({"max_entries_per_key": 1}, "no room for more values of this key"),
        ({"max_stored_bytes": 2 * VALUE_OVERHEAD + 5}, "no room for more bytes"),
    ]
    for params, reason in cases:
        store = store_of(**params)
        put(store, ANNA, b"0:")
        with pytest.raises(StoreRefused) as caught:
            put(store, ANNA_AGAIN, b"2:bb")
        assert caught.value.reason == reason
        assert store.get(KEY, 10, 0.0) == [b"0:"]


def test_bytes_are_counted_by_address():
    """Whatever the port and the id; of IPv6 by the network."""
    store = store_of(max_bytes_per_address=VALUE_OVERHEAD + 5)
    here = [Contact("192.0.2.1", port, bytes([port]) * 20) for port in (1, 2)]
    there = [Contact(f"2001:db8::{host}", 1, bytes([host]) * 20) for host in (1, 2)]
    elsewhere = Contact("2001:db8:0:1::1", 1, bytes(20))
    for first, second in (here, there):
        put(store, first, b"1:a")
        with pytest.raises(StoreRefused, match="of this address"):
            put(store, second, b"1:b")
        put(store, first, b"3:aaa")  # in place of the former
    put(store, elsewhere, b"1:a")
    assert store.remove(KEY, here[0])
    put(store, here[1], b"3:bbb", expires=10.0)
    assert store.expire(10.0) == 1
    put(store, here[0], b"3:bbb", now=10.0)


def test_full_store_accepts_replacement_of_an_owners_value():
    store = store_of(max_entries=1, max_stored_bytes=VALUE_OVERHEAD + 3)
    put(store, ANNA, b"1:a")
    put(store, ANNA, b"1:A")
    assert store.get(KEY, 10, 0.0) == [b"1:A"]


def test_a_refused_overwrite_drops_nothing():
    store = store_of(max_value_bytes=3, overwrite_drops_others=True)
    put(store, ANNA, b"1:a")
    put(store, BERT, b"1:b")
    with pytest.raises(StoreRefused):
        put(store, ANNA, b"2:aa", overwrite=True)
    assert store.get(KEY, 10, 0.0) == [b"1:b", b"1:a"]


def test_expired_values_free_space():
    store = store_of(max_entries=1)
    put(store, ANNA, b"1:a", expires=10.0)
    with pytest.raises(StoreRefused):
        put(store, ANNA_AGAIN, b"1:b", now=9.0)
    put(store, ANNA_AGAIN, b"1:b", now=10.0)
    assert store.get(KEY, 10, 10.0) == [b"1:b"]


def test_storing_again_and_again_costs_no_memory():
    store = store_of()
    put(store, BERT, b"1:b", expires=50_000.0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for step in range(20_000):
            put(store, ANNA, b"1:a", expires=100.0 + step)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 100_000  # rows of 20,000 ends are 2 MB
    assert store.next_expiry() <= 20_099.0  # type: ignore[operator]
    assert store.expire(20_098.0) == 0
    assert store.expire(20_099.0) == 1
    assert store.expire(49_999.0) == 0
    assert store.expire(50_000.0) == 1


def test_values_are_counted_by_address():
    store = store_of(max_entries_per_address=1)
    here = [Contact("192.0.2.1", port, bytes([port]) * 20) for port in (1, 2)]
    put(store, here[0], b"1:a")
    with pytest.raises(StoreRefused, match="no room for more values of this address"):
        put(store, here[1], b"1:b")
    put(store, here[0], b"3:aaa")  # in place of the former
    put(store, Contact("192.0.2.2", 1, b"i" * 20), b"1:c")
    assert store.remove(KEY, here[0])
    put(store, here[1], b"1:b")


class _Row(NamedTuple):
    encoded: bytes
    expires: float
    sender: Any

    @property
    def charge(self) -> int:
        return len(self.encoded) + VALUE_OVERHEAD


Rows = dict[tuple[bytes, Any], _Row]


def usages(rows: Rows) -> dict[bytes, tuple[int, int]]:
    """Return the values and the charged bytes of each subnet."""
    found: dict[bytes, tuple[int, int]] = {}
    for row in rows.values():
        entries, charge = found.get(row.sender.diversity_prefix, (0, 0))
        found[row.sender.diversity_prefix] = entries + 1, charge + row.charge
    return found


def after_put(params: Params, rows: Rows, kept: Rows, key: bytes, row: _Row) -> Rows | None:
    """Return the rows that are left of those ``kept`` when a store has room for a new one; None if
    it has to refuse it."""
    subnet = row.sender.diversity_prefix
    all_rows = [*((k, each) for (k, _), each in kept.items()), (key, row)]
    at_address = [each for _, each in all_rows if each.sender.addr == row.sender.addr]
    of_key = [each for k, each in all_rows if k == key]
    if (
        len(row.encoded) > params.max_value_bytes
        or len(of_key) > params.max_entries_per_key
        or sum(each.sender.diversity_prefix == subnet for each in of_key) > params.subnet_limit_key
        or len(at_address) > params.max_entries_per_address
        or sum(each.charge for each in at_address) > params.max_bytes_per_address
    ):
        return None
    kept = dict(kept)
    own = usages(kept).get(subnet, (0, 0))
    subnet_count = len(usages(rows).keys() | {subnet})
    limits = params.max_entries, params.max_stored_bytes
    for resource, (limit, added) in enumerate(zip(limits, (1, row.charge), strict=True)):
        used = sum(each[resource] for each in usages(kept).values())
        if used + added > limit and (own[resource] + added) * subnet_count > limit:
            return None
    for resource, (limit, added) in enumerate(zip(limits, (1, row.charge), strict=True)):
        while sum(each[resource] for each in usages(kept).values()) + added > limit:
            largest = max((each[resource:], subnet) for subnet, each in usages(kept).items())[1]
            of_largest = [
                (k, owner.compact, owner)
                for (k, owner), each in kept.items()
                if each.sender.diversity_prefix == largest
            ]
            first = min(of_largest)
            del kept[first[0], first[2]]
    return kept


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of stores and times, with bounds that are met often."""

    @initialize(
        drops=st.booleans(),
        entries=st.integers(0, 8),
        per_key=st.integers(1, 4),
        stored=st.integers(0, 40),
        of_address=st.integers(0, 40),
        by_address=st.integers(0, 6),
        by_key=st.integers(1, 3),
        full=st.integers(0, 8),
    )
    def begin(
        self,
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
            exempt_private=False,
        )
        self.store = MemoryStore(self.params)
        # By key and owner, in the order of their stores.
        self.model: Rows = {}
        self.now = 0.0

    def forget_ended(self) -> int:
        ended = [each for each, row in self.model.items() if row.expires <= self.now]
        for each in ended:
            del self.model[each]
        return len(ended)

    @rule(
        key=st.sampled_from([KEY, OTHER]),
        owner=st.sampled_from([ANNA, ANNA_AGAIN, NEIGHBOUR, BERT, CARL, make_contact(4)]),
        sender=st.sampled_from([None, None, BERT, CARL]),
        size=st.integers(1, 11),
        life=st.integers(0, 20),
        overwrite=st.booleans(),
        repeats=st.sampled_from([1, 1, 1, 100]),
    )
    def put(
        self,
        key: bytes,
        owner: Any,
        sender: Any,
        size: int,
        life: int,
        overwrite: bool,
        repeats: int,
    ) -> None:
        for step in range(repeats):
            encoded = bytes([97 + step % 26]) * size
            entry = StoreEntry(encoded, self.now + life, received_at=self.now, sender=sender)
            self.put_once(key, owner, entry, overwrite)

    def put_once(self, key: bytes, owner: Any, entry: StoreEntry, overwrite: bool) -> None:
        self.forget_ended()
        drops_others = overwrite and self.params.overwrite_drops_others
        kept = {
            (k, o): row
            for (k, o), row in self.model.items()
            if k != key or (o != owner and not drops_others)
        }
        row = _Row(entry.encoded, entry.expires_at, entry.sender or owner)
        after = after_put(self.params, self.model, kept, key, row)
        with contextlib.nullcontext() if after is not None else pytest.raises(StoreRefused):
            self.store.put(key, owner, entry, overwrite=overwrite)
        if after is not None:
            self.model = after | {(key, owner): row}

    @rule(seconds=st.integers(0, 15))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        self.store.expire(self.now)
        self.forget_ended()
        assert self.store.expire(self.now) == 0
        assert len(self.store) == len(self.model)

    @rule(seconds=st.integers(0, 15))
    def expire_counts(self, seconds: int) -> None:
        self.expire()
        self.now += seconds
        assert self.store.expire(self.now) == self.forget_ended()

    @rule(key=st.sampled_from([KEY, OTHER]), howmany=st.integers(-1, 6))
    def get(self, key: bytes, howmany: int) -> None:
        live = [
            row.encoded for (k, _), row in self.model.items() if k == key and row.expires > self.now
        ]
        assert self.store.get(key, howmany, self.now) == live[::-1][: max(howmany, 0)]

    @invariant()
    def counts(self) -> None:
        if not hasattr(self, "store"):
            return
        # The store may hold what has ended and was not tidied up yet.
        assert len(self.store) >= len(self.model) - self.ended()
        if self.ended() == 0:
            assert len(self.store) == len(self.model)
            assert self.store.stored_bytes == sum(len(row.encoded) for row in self.model.values())
            assert set(self.store.keys()) == {key for key, _ in self.model}
        if self.model:
            due = self.store.next_expiry()
            assert due is not None
            assert due <= min(row.expires for row in self.model.values())

    def ended(self) -> int:
        return sum(row.expires <= self.now for row in self.model.values())


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
