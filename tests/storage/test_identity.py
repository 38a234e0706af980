"""A data directory keeps the node's identity and addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from kademlua import Node, NodeOptions, Params, sha1
from kademlua.crypto import library, signing
from kademlua.storage.node_state import NodeState
from kademlua.values import ownership
from tests.support.world import World


def opened(path: Path) -> NodeState:
    return NodeState(path, Params(), in_background=False)


def test_new_directory_gets_an_identity_that_stays(tmp_path: Path) -> None:
    first = opened(tmp_path)
    identity = first.identity
    assert identity is not None
    first.persist_id(ownership.id_of(identity))
    first.close()
    again = opened(tmp_path)
    found = again.identity
    assert found is not None
    assert found.public_key == identity.public_key
    assert again.id == ownership.id_of(found)
    again.close()


def test_directory_with_an_id_of_another_origin_gets_none(tmp_path: Path) -> None:
    state = opened(tmp_path)
    state.persist_id(b"i" * 20)
    assert state.identity is None
    state.close()


def test_no_identity_without_the_library_for_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(library, "import_module", fail)
    state = opened(tmp_path)
    assert state.identity is None
    state.close()


def test_node_that_moved_replaces_and_removes_its_values(tmp_path: Path, world: World) -> None:
    """Started again with the same directory at another address."""
    holder, key = world.alice, sha1("key")

    def started() -> tuple[Node, NodeState]:
        state = opened(tmp_path)
        node = world.node(holder, identity=state.identity, last_addresses=state.addresses)
        state.persist_id(node.id)
        assert node.wait_joined(30)
        return node, state

    node, state = started()
    node.add(key, b"v1", ttl=3600)
    state.save_table(node)
    node.close(hand_over=False)
    state.close()
    moved, state = started()
    moved.add(key, b"v2", ttl=3600)
    assert [entry.encoded for _, entry in holder.datastore.entries(key)] == [b"2:v2"]
    moved.remove(key)
    assert holder.datastore.entries(key) == []
    moved.close(hand_over=False)
    state.close()


def test_identity_derives_the_id_of_a_node() -> None:
    identity = signing.SigningKey(bytes(32))
    node = Node(options=NodeOptions(identity=identity))
    assert node.id == sha1(identity.public_key)
