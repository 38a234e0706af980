"""The order of an owner's stores and removes: the newest counts everywhere."""

from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from kademlua import Node, NothingToRemove, Params, SigningKey, sha1
from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.results import StoreReport
from kademlua.core.values import records
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.requests import RemoveArguments, StoreArguments
from kademlua.runtime.clocks import Clocks
from kademlua.simulation.clock.loop import virtual_now
from kademlua.storage.lmdb_store import LmdbStore
from kademlua.values import ownership
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEY = sha1("key")
FEW = Params(replicas=4)
NEWER_STORED = b"li0e23:a newer value is stored"


def values_of(node: Node, key: bytes = KEY) -> list[bytes]:
    return [entry.encoded for _, entry in node.datastore.entries(key)]


def store(peer: ScriptedPeer, node: Node, encoded: bytes, **fields: object) -> bytes:
    arguments = StoreArguments(KEY, encoded, **({"ttl": 3600} | fields))  # type: ignore[arg-type]
    args = requests.encode_store_args(arguments)
    payload = packets.encode_request_payload(b"store", args, read_only=False)
    return peer.call(node.contact.endpoint, payload).payload


def remove(peer: ScriptedPeer, node: Node, seq: int) -> bytes:
    args = requests.encode_remove_args(RemoveArguments(KEY, 3600, seq=seq))
    payload = packets.encode_request_payload(b"remove", args, read_only=False)
    return peer.call(node.contact.endpoint, payload).payload


class TestHolder:
    def test_delayed_older_store_is_refused_with_the_newest_sequence_number(
        self, world: World
    ) -> None:
        node, owner = world.alice, world.peer()
        assert store(owner, node, b"3:new", seq=9) == replies.STORE_OK
        assert store(owner, node, b"3:old", seq=8) == NEWER_STORED + b"i9ee"
        assert values_of(node) == [b"3:new"]

    def test_repeated_store_renews_the_value(self, world: World) -> None:
        node, owner = world.alice, world.peer()
        store(owner, node, b"1:v", seq=9)
        gevent.sleep(3000)
        assert store(owner, node, b"1:v", seq=9) == replies.STORE_OK
        gevent.sleep(3000)
        assert values_of(node) == [b"1:v"]

    def test_store_without_a_sequence_number_replaces(self, world: World) -> None:
        node, owner = world.alice, world.peer()
        store(owner, node, b"1:a", seq=9)
        assert store(owner, node, b"1:b") == replies.STORE_OK
        assert values_of(node) == [b"1:b"]

    def test_delayed_store_does_not_undo_a_remove(self, world: World) -> None:
        node, owner = world.alice, world.peer()
        store(owner, node, b"1:v", seq=5)
        assert remove(owner, node, 6) == replies.REMOVE_OK
        assert store(owner, node, b"1:v", seq=5) == NEWER_STORED + b"i6ee"
        assert values_of(node) == []
        assert store(owner, node, b"1:w", seq=7) == replies.STORE_OK
        assert values_of(node) == [b"1:w"]

    def test_delayed_remove_does_not_undo_a_store(self, world: World) -> None:
        node, owner = world.alice, world.peer()
        store(owner, node, b"1:v", seq=7)
        assert remove(owner, node, 6) == NEWER_STORED + b"i7ee"
        assert values_of(node) == [b"1:v"]

    def test_transfer_of_a_later_store_passes_the_tombstone(self, world: World) -> None:
        node, owner, holder = world.alice, world.peer(), world.peer()
        remove(owner, node, 6)
        older = store(holder, node, b"1:v", seq=5, owner=owner.contact)
        assert b"removed by its owner" in older
        newer = store(holder, node, b"1:w", seq=7, owner=owner.contact)
        assert newer == replies.STORE_OK
        assert values_of(node) == [b"1:w"]

    @pytest.mark.parametrize("seconds", [100.5, 200, 980])
    def test_expired_value_still_replaces_older_ones(self, world: World, seconds: float) -> None:
        """For the longest TTL; also if the older one is the first packet after the expiry."""
        node = world.node(params=Params(max_ttl=1000))
        owner, holder = world.peer(), world.peer()
        store(owner, node, b"1:w", seq=6, ttl=100)
        gevent.sleep(seconds)
        transferred = store(holder, node, b"1:v", seq=5, owner=owner.contact)
        assert b"removed by its owner" in transferred
        assert store(owner, node, b"1:v", seq=5) == NEWER_STORED + b"i5ee"
        assert store(holder, node, b"1:w", seq=6, owner=owner.contact) == replies.STORE_OK
        assert values_of(node) == [b"1:w"]

    def test_tombstone_of_an_expired_value_ends_with_the_longest_ttl(self, world: World) -> None:
        node, owner = world.node(params=Params(max_ttl=1000)), world.peer()
        store(owner, node, b"1:w", seq=6, ttl=100)
        gevent.sleep(1010)
        assert store(owner, node, b"1:v", seq=5) == replies.STORE_OK

    def test_transfer_alone_does_not_replace_another_value(self, world: World) -> None:
        node, owner, forger = world.alice, world.peer(), world.peer()
        store(owner, node, b"1:v", seq=5)
        refusal = store(forger, node, b"4:evil", seq=6, owner=owner.contact)
        assert b"another value of its owner is stored" in refusal
        gevent.sleep(600)
        assert values_of(node) == [b"1:v"]

    @pytest.mark.parametrize("seq", [b"i-1e", b"1:x", b"i9223372036854775808e"])
    def test_invalid_sequence_number_is_refused(self, world: World, seq: bytes) -> None:
        args = b"20:" + KEY + b"1:vi0e0:i60ed3:seq" + seq + b"e"
        payload = packets.encode_request_payload(b"store", args, read_only=False)
        answer = world.peer().call(world.alice.contact.endpoint, payload)
        assert answer.packet_type == packets.RPC_RAISED


class TestOverwrites:
    def test_former_holder_does_not_restore_its_older_value(self, world: World) -> None:
        """Its owner stores v1 alone; then others join, and are closer to the key."""
        owner = world.node(params=FEW)
        owner.add(KEY, b"v1", ttl=86_400)
        others = [world.node(owner, params=FEW) for _ in range(20)]
        assert all(node.wait_joined(30) for node in others)
        gevent.sleep(300)
        report = owner.add(KEY, b"v2", ttl=86_400)
        assert len(report.acknowledged) == 4
        gevent.sleep(7200)
        owner.close()
        gevent.sleep(7200)
        found = others[0].find_value(KEY, max_nodes=20)
        assert {value for answer in found for value in answer.values} == {b"v2"}
        assert {encoded for node in others for encoded in values_of(node)} == {b"2:v2"}

    def test_former_replica_drops_a_value_that_was_replaced(self, world: World) -> None:
        """It asks two replicas first, whose word is not enough with 20 replicas."""
        owner = world.node()
        former = world.node(owner)
        assert former.wait_joined(30)
        owner.add(KEY, b"v1", ttl=86_400)
        assert values_of(former) == [b"2:v1"]
        others = [world.node(owner) for _ in range(40)]
        assert all(node.wait_joined(30) for node in others)
        gevent.sleep(300)
        nearest = sorted(others, key=lambda node: to_int(node.id) ^ to_int(KEY))[19]
        if to_int(former.id) ^ to_int(KEY) < to_int(nearest.id) ^ to_int(KEY):
            pytest.fail("choose another seed: the former replica still is one")
        owner.add(KEY, b"v2", ttl=86_400)
        gevent.sleep(7200)
        nodes = [owner, former, *others]
        assert {encoded for node in nodes for encoded in values_of(node)} == {b"2:v2"}

    def test_holder_that_missed_an_overwrite_takes_it_later(self, world: World) -> None:
        nodes = world.network(10, params=FEW)
        nodes[0].add(KEY, b"v1", ttl=86_400)
        gevent.sleep(120)
        holders = [node for node in nodes[1:] if values_of(node)]
        deaf = holders[0]
        world.net.pause(deaf.contact.endpoint)
        nodes[0].add(KEY, b"v2", ttl=86_400)
        world.net.resume(deaf.contact.endpoint)
        assert values_of(deaf) == [b"2:v1"]
        gevent.sleep(2 * 3600)
        assert {encoded for node in nodes for encoded in values_of(node)} == {b"2:v2"}

    def test_older_value_stays_replaced_when_its_short_lived_successor_expires(
        self, world: World
    ) -> None:
        """A holder that missed the successor returns after the latter has expired."""
        nodes = world.network(10, params=FEW)
        nodes[0].add(KEY, b"v1", ttl=86_400)
        gevent.sleep(120)
        holders = [node for node in nodes[1:] if values_of(node)]
        deaf = holders[0]
        world.net.pause(deaf.contact.endpoint)
        nodes[0].add(KEY, b"v2", ttl=60)
        gevent.sleep(70)
        world.net.resume(deaf.contact.endpoint)
        gevent.sleep(2 * 3600)
        assert not any(values_of(node) for node in nodes)

    @pytest.mark.parametrize("is_record", [False, True])
    def test_older_value_stays_replaced_where_only_its_successor_was_stored(
        self, world: World, *, is_record: bool
    ) -> None:
        """The one holder of the older value returns when the successor of the others expired."""
        nodes = world.network(12, params=FEW)
        signer = SigningKey(bytes(32))
        key = records.signed_key(signer.public_key, b"") if is_record else KEY

        def write(value: bytes, ttl: int, seq: int) -> StoreReport:
            if is_record:
                return owner.put_signed(value, signer, seq=seq, ttl=ttl).report
            return owner.add(key, value, ttl=ttl)

        nodes.sort(key=lambda node: to_int(node.id) ^ to_int(key))
        owner, deaf = nodes[-1], nodes[0]
        write(b"v1", 86_400, 1)
        assert [node for node in nodes if values_of(node, key)] == nodes[:4]
        world.net.pause(deaf.contact.endpoint)
        for node in nodes[1:4]:
            node.close(hand_over=False)
        write(b"v2", 60, 2)
        gevent.sleep(80)  # a beat of maintenance follows within 12 seconds
        assert [node for node in nodes[4:] if values_of(node, key)] == []
        world.net.resume(deaf.contact.endpoint)
        gevent.sleep(2 * 3600)
        assert not any(values_of(node, key) for node in [deaf, *nodes[4:]])

    def test_clock_that_was_set_back_does_not_block_the_owner(self, world: World) -> None:
        wall = [1_000_000.0]
        holder = world.alice
        writer = world.node(holder, wall_clock=lambda: wall[0])
        assert writer.wait_joined(30)
        writer.add(KEY, b"v1")
        identity = writer.id
        endpoint = writer.contact.endpoint
        writer.close(hand_over=False)
        wall[0] = 500.0
        restarted = world.node(holder, endpoint=endpoint, id=identity, wall_clock=lambda: wall[0])
        assert restarted.wait_joined(30)
        restarted.add(KEY, b"v2")
        assert values_of(holder) == [b"2:v2"]
        restarted.remove(KEY)
        assert values_of(holder) == []

    def test_add_ends_the_publication_of_its_key(self, world: World) -> None:
        nodes = world.network(3)
        nodes[0].publish(KEY, b"old", ttl=600)
        nodes[0].add(KEY, b"new", ttl=60)
        assert nodes[0].published() == []
        gevent.sleep(700)
        assert nodes[1].find_value(KEY) == []


class TestRemoves:
    def test_remove_counts_those_that_removed_something(self, world: World) -> None:
        nodes = world.network(6, params=FEW)
        nodes[0].add(KEY, b"v")
        report = nodes[0].remove(KEY)
        assert len(report.acknowledged) == 4
        assert {reason for _, reason in report.refused} == {replies.REASON_NO_VALUE}

    def test_remove_fails_if_there_was_nothing(self, world: World) -> None:
        nodes = world.network(3)
        with pytest.raises(NothingToRemove, match="no node has a value of this owner"):
            nodes[0].remove(KEY)

    def test_expired_value_is_nothing_to_remove(self, world: World) -> None:
        nodes = world.network(3)
        nodes[0].add(KEY, b"v", ttl=1)
        gevent.sleep(1.1)
        with pytest.raises(NothingToRemove):
            nodes[0].remove(KEY)

    def test_tombstone_survives_a_restart(self, world: World, tmp_path: Path) -> None:
        def opened() -> LmdbStore:
            clocks = Clocks(clock=virtual_now, wall_clock=virtual_now)
            return LmdbStore(tmp_path / "values.lmdb", Params(), clocks=clocks, in_background=False)

        first, owner, holder = opened(), world.peer(), world.peer()
        node = world.node(store=first)
        store(owner, node, b"1:v", seq=5)
        assert remove(owner, node, 6) == replies.REMOVE_OK
        node.close()
        first.close()
        again = opened()
        restarted = world.node(store=again)
        refusal = store(holder, restarted, b"1:v", seq=5, owner=owner.contact)
        assert b"removed by its owner" in refusal
        restarted.close()
        again.close()


class TestAddressChange:
    def test_node_with_an_identity_replaces_and_removes_its_earlier_values(
        self, world: World
    ) -> None:
        nodes = world.network(6, params=FEW)
        identity = SigningKey(bytes(32))
        before = world.node(nodes[0], identity=identity, params=FEW)
        assert before.wait_joined(30)
        before.add(KEY, b"v1", ttl=86_400)
        assert before.id == ownership.id_of(identity)
        addresses = before.services.prover.addresses
        before.close()
        moved = world.node(nodes[0], identity=identity, last_addresses=addresses, params=FEW)
        assert moved.wait_joined(30)
        gevent.sleep(5)
        moved.add(KEY, b"v2", ttl=86_400)
        gevent.sleep(2 * 3600)  # those that were not asked learn it when they replicate
        assert {encoded for node in nodes for encoded in values_of(node)} == {b"2:v2"}
        moved.close()
        moved_again = world.node(nodes[0], identity=identity, params=FEW)
        assert moved_again.wait_joined(30)
        gevent.sleep(5)
        moved_again.remove(KEY)
        assert not any(values_of(node) for node in nodes)

    def test_id_alone_is_no_proof(self, world: World) -> None:
        node, owner = world.alice, world.peer()
        store(owner, node, b"1:v", seq=5)
        thief = world.peer(owner.id)
        assert remove(thief, node, 6) == replies.REMOVE_NOT_FOUND
        assert values_of(node) == [b"1:v"]

    def test_proof_is_valid_for_one_holder_key_and_number(self) -> None:
        identity, holder_id = SigningKey(bytes(32)), b"h" * 20
        proof = ownership.sign_proof(identity, holder_id, KEY, 5)
        owner_id = ownership.id_of(identity)
        assert ownership.is_proven(owner_id, holder_id, KEY, 5, proof)
        assert not ownership.is_proven(owner_id, b"i" * 20, KEY, 5, proof)
        assert not ownership.is_proven(owner_id, holder_id, sha1("other"), 5, proof)
        assert not ownership.is_proven(owner_id, holder_id, KEY, 6, proof)
        assert not ownership.is_proven(b"x" * 20, holder_id, KEY, 5, proof)


def test_own_values_are_found_after_the_local_address_changed(world: World) -> None:
    node = world.alice
    former = Contact("10.9.9.9", 4000, node.id)
    node.datastore.put(KEY, former, StoreEntry(b"1:v", virtual_now() + 60))
    assert node.remove(KEY).acknowledged == [node.contact]
    assert values_of(node) == []
