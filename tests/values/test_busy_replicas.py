"""Stores at replicas that are busy: on a LAN, too, a slow acknowledgement is one."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Node, Params, StoreFailed, sha1
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEY = sha1("key")
LAN_ONE_WAY = 0.0001
BUSY_SECONDS = 0.7


def quick(request: Request) -> bytes:
    """The answer of a peer that knows no other one."""
    if request.name == b"findnode":
        return replies.encode_findnode_reply([], 1, b"a-token!")
    return replies.STORE_OK if request.name == b"store" else replies.PONG


def known_replica(world: World, node: Node) -> ScriptedPeer:
    """A peer in the table of a node that has always replied in a fifth of a millisecond."""
    peer = world.peer()
    peer.serve(quick)
    for _ in range(20):
        node.ping(peer.contact)
    return peer


def test_acknowledgement_of_a_busy_replica_counts() -> None:
    world = World(1, LAN_ONE_WAY)

    def test() -> None:
        node = world.node(params=Params(replicas=1), read_only=True)
        peer = known_replica(world, node)

        def store_later(request: Request) -> bytes | None:
            if request.name != b"store":
                return quick(request)
            response = packets.encode_response(peer.id, request.rpc_id, quick(request))
            gevent.spawn_later(BUSY_SECONDS, peer.send, response, node.contact.endpoint)
            return None

        peer.serve(store_later)
        assert node.add(KEY, b"v").acknowledged == [peer.contact]
        assert peer.contact in node.table

    world.run(test)


def test_silent_replica_ends_an_add_after_a_second() -> None:
    world = World(1, LAN_ONE_WAY)

    def test() -> None:
        node = world.node(params=Params(replicas=1), read_only=True)
        peer = known_replica(world, node)
        peer.serve(lambda request: None if request.name == b"store" else quick(request))
        began = world.now
        with pytest.raises(StoreFailed):
            node.add(KEY, b"v")
        assert 1 <= world.now - began < 1.1

    world.run(test)
