"""A page of the data file that proves damaged while the node runs: no values, but no failure."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import gevent
import pytest

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.storage.node_state import NodeState
from tests.support.world import World

OWNER = Contact("192.0.2.1", 7, b"A" * 20)
KEYS = [random.Random(1).randbytes(20) for _ in range(300)]
REASON = "the data file is damaged"
PAGE_BYTES = 4096
FLAGS_AT = 10
LEAF = 0x02


def opened(path: Path) -> NodeState:
    return NodeState(path, Params(), in_background=False)


def put(state: NodeState, key: bytes) -> str | None:
    """Store a value; return None, or why it is not durable."""
    state.store.put(key, OWNER, StoreEntry(b"1:v", 1e6, received_at=0.0))
    reasons: list[str | None] = []
    state.store.when_durable(reasons.append)
    return reasons[0]


def filled(path: Path) -> NodeState:
    state = opened(path)
    for key in KEYS:
        state.store.put(key, OWNER, StoreEntry(b"1:v", 1e6, received_at=0.0))
    state.flush()
    return state


def damage_pages(path: Path) -> None:
    """Damage all pages but the two of the file's header, while the file is open."""
    with (path / "values.lmdb").open("r+b") as file:
        for start in range(2 * PAGE_BYTES, (path / "values.lmdb").stat().st_size, PAGE_BYTES):
            file.seek(start + FLAGS_AT)
            flags = file.read(1)[0]
            file.seek(start + FLAGS_AT)
            file.write(bytes([flags ^ LEAF]))


def test_reads_find_nothing_and_stores_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = filled(tmp_path)
    store = state.store
    assert store.damage is None
    damage_pages(tmp_path)
    for key in KEYS[:10]:
        assert store.get(key, 1, 0.0) == []
        assert store.page(key, 9, 0.0, offset=1, max_bytes=100) == ([], 0)
        assert store.count(key) == 0
        assert list(store.owners(key)) == store.owners_with_id(key, OWNER.id) == []
        assert store.entries(key) == []
        assert store.find(key, OWNER) is None
        assert not store.remove(key, OWNER)
        with pytest.raises(StoreRefused, match=REASON):
            put(state, key)
    assert list(store.keys()) == []
    assert store.expire(2e6) == 0
    assert store.next_expiry() is None
    assert store.damage == "values.lmdb is damaged; restart the node to replace it"
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"values.lmdb: {REASON}" in record.getMessage()
    state.close()


@pytest.mark.parametrize(
    "operation", ["page", "count", "owners", "owners of an id", "keys", "expire", "put", "close"]
)
def test_damage_is_survived_whichever_operation_meets_it(tmp_path: Path, operation: str) -> None:
    state = filled(tmp_path)
    damage_pages(tmp_path)
    match operation:
        case "page":
            assert state.store.page(KEYS[0], 1, 0.0) == ([], 0)
        case "count":
            assert state.store.count(KEYS[0]) == 0
        case "owners":
            assert list(state.store.owners(KEYS[0])) == []
        case "owners of an id":
            assert state.store.owners_with_id(KEYS[0], OWNER.id) == []
        case "keys":
            assert list(state.store.keys()) == []
        case "expire":
            state.store.expire(2e6)
        case "put":
            with pytest.raises(StoreRefused, match=REASON):
                put(state, KEYS[0])
    state.close()


@pytest.mark.parametrize("in_background", [False, True])
def test_damage_that_a_commit_meets_refuses_the_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, in_background: bool
) -> None:
    filled(tmp_path).close()
    state = NodeState(tmp_path, Params(), in_background=in_background)
    state.store.put(b"k" * 20, OWNER, StoreEntry(b"1:v", 1e6, received_at=0.0))
    damage_pages(tmp_path)
    reasons: list[str | None] = []
    state.store.when_durable(reasons.append)
    state.flush()
    assert reasons == [REASON]
    assert state.store.damage is not None
    state.close()


def test_next_start_replaces_the_file_although_it_was_closed_cleanly(tmp_path: Path) -> None:
    state = filled(tmp_path)
    damage_pages(tmp_path)
    assert list(state.store.keys()) == []
    state.close()
    state = opened(tmp_path)
    assert (tmp_path / "values.lmdb.damaged-1").exists()
    assert put(state, KEYS[0]) is None
    state.close()
    state = opened(tmp_path)
    assert state.store.get(KEYS[0], 1, 0.0) == [b"1:v"]
    assert not (tmp_path / "values.lmdb.damaged-2").exists()
    state.close()


def test_node_goes_on_without_values_and_is_unhealthy(world: World, tmp_path: Path) -> None:
    state = filled(tmp_path)
    node = world.node(store=state.store)
    other = world.node(node.contact.endpoint)
    assert other.wait_joined(30)
    assert node.healthy
    damage_pages(tmp_path)
    gevent.sleep(60)
    assert not node.healthy
    assert node.contact in other.find_node(KEYS[0])
    report = other.add(KEYS[0], b"v")
    assert (node.contact, REASON) in report.refused
    node.close()
    state.close()
