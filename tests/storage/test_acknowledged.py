"""A store is acknowledged once it is durable, and refused if the commit fails."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import StoreFailed
from kademlua.core.wire import packets, replies, requests
from tests.support.parts import SlowStore
from tests.support.world import World

KEY = b"k" * 20
STORE = packets.encode_request_payload(
    b"store", requests.encode_store_args(requests.StoreArguments(KEY, b"1:a", 60)), read_only=False
)


def test_acknowledgement_waits_for_the_commit(world: World) -> None:
    store = SlowStore()
    node, peer = world.node(store=store), world.peer()
    assert peer.ping_succeeds(node.contact.endpoint)
    assert peer.ping_succeeds(node.contact.endpoint)  # the peer's address is validated now
    rpc_id = peer.request(node.contact.endpoint, STORE)
    assert peer.ping_succeeds(node.contact.endpoint)  # the store has no reply yet
    assert store.get(KEY, 1, world.now) == [b"1:a"]
    store.waiting.pop()(None)
    response: Any = peer.receive()
    while response.rpc_id != rpc_id:
        response = peer.receive()
    assert response.payload == replies.STORE_OK


def test_failed_commit_refuses_the_store_and_is_counted(world: World) -> None:
    store = SlowStore()
    node, other = world.node(store=store), world.node(read_only=True)
    other.ping(node.contact)
    store.when_durable = lambda callback: callback("the disk is full")  # type: ignore[method-assign]
    with pytest.raises(StoreFailed, match="the disk is full"):
        other.add(KEY, b"a")
    assert node.stats()["refused_stores"] == {"the disk is full": 1}
    with pytest.raises(StoreFailed, match="the disk is full"):
        node.add(KEY, b"b")
