"""Admission of records and plain values to a replica's store."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import (
    Contact,
    Node,
    Params,
    RecordRefused,
    RecordStale,
    SigningKey,
    StoreRefused,
    sha1,
)
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets, replies, requests
from kademlua.crypto import signing
from kademlua.node.options import NodeOptions
from kademlua.runtime.clocks import Clocks
from kademlua.simulation.clock.loop import virtual_now
from kademlua.storage.lmdb_store import LmdbStore
from kademlua.values.admission import AdmissionPolicy
from tests.support.peers import ScriptedPeer
from tests.support.world import World

SIGNER = SigningKey(bytes(range(32)))
KEY = records.signed_key(SIGNER.public_key, b"")
TAKEN = replies.STORE_OK


def signed(
    seq: int, value: object = b"v", *, expires: int | None = None, salt: bytes = b""
) -> SignedRecord:
    encoded = records.encode_value(value)
    signature = SIGNER.sign(records.signed_bytes(salt, seq, expires, encoded))
    return SignedRecord(SIGNER.public_key, salt, seq, expires, signature, encoded)


def admission_of(node: Node) -> AdmissionPolicy:
    return AdmissionPolicy(node.datastore, node.services.context.wall_clock)


def forged(seq: int) -> SignedRecord:
    signature = random.Random(seq).randbytes(64)
    return SignedRecord(SIGNER.public_key, b"", seq, None, signature, b"4:evil")


def store(peer: ScriptedPeer, node: Node, encoded: bytes, key: bytes = KEY, **how: Any) -> str:
    """Have a peer store; the reason of a refusal, or nothing."""
    args = requests.encode_store_args(
        requests.StoreArguments(key, encoded, how.pop("ttl", 3600), **how)
    )
    answer = peer.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False)
    )
    return "" if answer.payload == TAKEN else answer.payload.partition(b":")[2][:-1].decode()


def kept(node: Node, key: bytes = KEY) -> list[bytes]:
    return [entry.encoded for _, entry in node.datastore.entries(key)]


def test_key_has_one_record_regardless_of_sender(world: World) -> None:
    node, one, two = world.alice, world.peer(), world.peer()
    assert store(one, node, signed(1).encoded) == ""
    assert store(two, node, signed(2, b"new").encoded) == ""
    assert kept(node) == [signed(2, b"new").encoded]


@pytest.mark.parametrize("seq", [4, 5])
def test_a_stale_record(world: World, seq: int) -> None:
    node, peer = world.alice, world.peer()
    store(peer, node, signed(5).encoded)
    assert store(world.peer(), node, signed(seq, b"other").encoded) == "stale record"
    assert store(peer, node, signed(seq, b"other").encoded) == "stale record"
    assert kept(node) == [signed(5).encoded]
    assert node.stats()["refused_stores"] == {"stale record": 2}


@pytest.mark.parametrize(
    ("record", "key", "why"),
    [
        (forged(9), KEY, "forged record"),
        (signed(1), sha1("another"), "record of another key"),
        (signed(1, salt=b"x"), KEY, "record of another key"),
        (signed(1, salt=bytes(65)), signed(1, salt=bytes(65)).key, "salt over 64 bytes"),
        (signed(-1), KEY, "sequence number out of range"),
        (signed(1 << 63), KEY, "sequence number out of range"),
        (signed(1, expires=0), KEY, "expired record"),
    ],
)
def test_invalid_record_is_refused(
    world: World, record: SignedRecord, key: bytes, why: str
) -> None:
    node, peer = world.alice, world.peer()
    gevent.sleep(1)
    assert store(peer, node, record.encoded, key) == why
    store(peer, node, signed(1).encoded)
    assert store(peer, node, record.encoded, key) == why
    assert kept(node) == [signed(1).encoded]


def test_plain_value_neither_hides_nor_replaces_a_record(world: World) -> None:
    node = world.node(params=Params(max_entries_per_key=30))
    for number in range(30):
        assert store(world.peer(), node, b"i%de" % number) == ""
    assert store(world.peer(), node, b"i30e") == "no room for more values of this key"
    assert store(world.peer(), node, signed(1).encoded) == ""
    assert kept(node) == [signed(1).encoded]
    assert store(world.peer(), node, b"i31e") == "the key has a record"
    assert [answer.values for answer in node.find_value(KEY)] == [
        [replies.decode_value(signed(1).encoded)]
    ]


def test_the_same_for_an_immutable_one(world: World) -> None:
    node, key = world.alice, sha1("5:hello")
    assert store(world.peer(), node, b"4:junk", key) == ""
    assert store(world.peer(), node, b"5:hello", key) == ""
    assert store(world.peer(), node, b"4:junk", key) == "the key has a record"
    assert kept(node, key) == [b"5:hello"]


def test_key_is_free_after_expiry(world: World) -> None:
    node, peer = world.alice, world.peer()
    store(peer, node, signed(7).encoded, ttl=10)
    gevent.sleep(10)
    assert store(peer, node, b"5:plain") == ""
    assert kept(node) == [b"5:plain"]


def test_compare_and_swap(world: World) -> None:
    node, peer = world.alice, world.peer()
    assert store(peer, node, signed(3).encoded, cas=99) == ""  # there is nothing to compare
    refused = "not the sequence number to be replaced"
    assert store(peer, node, signed(5).encoded, cas=2) == refused
    assert store(peer, node, signed(5).encoded, cas=4) == refused
    assert store(peer, node, signed(5).encoded, cas=3) == ""
    # A store is sent once more when the answer is late.
    assert store(peer, node, signed(5).encoded, cas=3) == ""
    assert kept(node) == [signed(5).encoded]


@pytest.mark.parametrize("swaps", [b"3:cas1:x", b"3:casle"])
def test_invalid_cas_is_refused(world: World, swaps: bytes) -> None:
    args = b"20:%b%bi0e0:i9ed%be" % (KEY, signed(1).encoded, swaps)
    call = packets.encode_request_payload(b"store", args, read_only=False)
    assert world.peer().call(world.alice.contact.endpoint, call).packet_type == packets.RPC_RAISED


def test_an_end_that_is_signed(world: World) -> None:
    node, peer = world.alice, world.peer()
    assert store(peer, node, signed(1, expires=50).encoded, ttl=1000) == ""
    gevent.sleep(50 - world.now - 0.2)
    assert kept(node)
    assert node.find_value(KEY)
    gevent.sleep(0.2)
    assert not node.find_value(KEY)
    assert store(peer, node, signed(1, expires=50).encoded, ttl=1000) == "expired record"


def test_expired_record_still_replaces_older_ones(world: World) -> None:
    """Also if the older one is the first packet after the expiry."""
    node, peer = world.alice, world.peer()
    store(peer, node, signed(5).encoded, ttl=100)
    gevent.sleep(100.5)
    assert store(world.peer(), node, signed(4).encoded) == "stale record"
    gevent.sleep(60)
    assert store(world.peer(), node, signed(4).encoded) == "stale record"
    assert store(world.peer(), node, signed(5).encoded) == ""
    assert kept(node) == [signed(5).encoded]


def test_record_does_not_wait_until_all_expired_values_are_removed(world: World) -> None:
    node, one, two = world.alice, *(Contact("192.0.2.1", n, sha1(str(n))) for n in (1, 2))
    admit = admission_of(node).admit
    for number in range(3_000):
        admit(sha1(str(number)), one, StoreEntry(b"1:v", world.now + 1, received_at=world.now))
    admit(KEY, one, StoreEntry(signed(5).encoded, world.now + 2, received_at=world.now))
    later = world.now + 3
    with pytest.raises(RecordStale):
        admit(KEY, two, StoreEntry(signed(4).encoded, later + 9, received_at=later))
    assert len(node.datastore) == 3_000
    admit(KEY, two, StoreEntry(signed(5).encoded, later + 9, received_at=later))
    assert kept(node) == [signed(5).encoded]


def test_repeated_store_extends_but_never_shortens_ttl(world: World) -> None:
    node, one, two = world.alice, world.peer(), world.peer()
    store(one, node, signed(1).encoded, ttl=100)
    [(owner, first)] = node.datastore.entries(KEY)
    store(two, node, signed(1).encoded, ttl=1)
    store(one, node, signed(1).encoded, ttl=1)
    [(_, second)] = node.datastore.entries(KEY)
    assert second.expires_at == first.expires_at
    store(two, node, signed(1).encoded, ttl=500)
    [(still, third)] = node.datastore.entries(KEY)
    assert third.expires_at - third.received_at == pytest.approx(500)
    assert (owner, still) == (one.contact, one.contact)


def test_an_immutable_one_lasts_in_the_same_way(world: World) -> None:
    node, key = world.alice, sha1("5:hello")
    store(world.peer(), node, b"5:hello", key, ttl=100)
    store(world.peer(), node, b"5:hello", key, ttl=1)
    gevent.sleep(50)
    assert kept(node, key) == [b"5:hello"]


def test_any_peer_may_replicate_a_record(world: World) -> None:
    node, peer = world.alice, world.peer()
    someone = Contact("192.0.2.9", 4000, b"o" * 20)
    store(peer, node, signed(1).encoded)
    assert store(peer, node, signed(2).encoded, owner=someone) == ""
    assert store(peer, node, signed(1).encoded, owner=someone) == "stale record"
    assert store(peer, node, forged(3).encoded, owner=someone) == "forged record"
    assert kept(node) == [signed(2).encoded]


def test_sender_of_a_record_cannot_remove_it(world: World) -> None:
    """Nor keep others from handing it on."""
    node, peer, another = world.alice, world.peer(), world.peer()
    remove = packets.encode_request_payload(
        b"remove", requests.encode_remove_args(requests.RemoveArguments(KEY, 3600)), read_only=False
    )
    assert peer.call(node.contact.endpoint, remove).payload == replies.REMOVE_NOT_FOUND
    assert store(another, node, b"5:plain", owner=peer.contact) == "removed by its owner"
    assert store(another, node, signed(1).encoded, owner=peer.contact) == ""
    assert peer.call(node.contact.endpoint, remove).payload == replies.REMOVE_NOT_FOUND
    assert kept(node) == [signed(1).encoded]
    assert store(another, node, signed(2).encoded, owner=peer.contact) == ""


def test_it_is_kept_on_disk_as_any_value(world: World, tmp_path: Path) -> None:
    """A store that outlives its process knows the record again, and holds to it."""
    record = signed(5, b"v" * 100, expires=5_000)

    def opened() -> tuple[LmdbStore, Callable[[bytes], None]]:
        clocks = Clocks(clock=virtual_now, wall_clock=virtual_now)
        disk = LmdbStore(tmp_path / "values", Params(), clocks=clocks, in_background=False)
        node = world.node(store=disk)
        put = partial(admission_of(node).admit, KEY, node.contact)
        return disk, lambda encoded: put(StoreEntry(encoded, 9_000, received_at=world.now))

    disk, put = opened()
    put(b"4:junk")
    put(record.encoded)
    disk.close()
    disk, put = opened()
    with pytest.raises(RecordStale):
        put(signed(4).encoded)
    with pytest.raises(StoreRefused, match="the key has a record"):
        put(b"5:plain")
    [(_, entry)] = disk.entries(KEY)
    assert entry.encoded == record.encoded
    assert entry.expires_at == pytest.approx(5_000)
    disk.close()


_MADE = {seq: signed(seq).encoded for seq in range(6)}
_BROUGHT = st.lists(
    st.tuples(
        st.sampled_from(["genuine", "forged", "another's", "ended", "plain"]),
        st.integers(0, 5),
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=20,
)


@given(_BROUGHT)
def test_newest_valid_record_is_kept(
    brought: list[tuple[str, int, int, bool]],
) -> None:
    node = Node(port=1, options=NodeOptions(clock=lambda: 0.0, wall_clock=lambda: 0.0))
    keeping = admission_of(node)
    newest = -1
    for kind, seq, number, is_direct in brought:
        encoded = {
            "genuine": _MADE[seq],
            "forged": forged(seq).encoded,
            "another's": signed(seq, salt=b"x").encoded,
            "ended": signed(seq, expires=0).encoded,
            "plain": b"i%de" % seq,
        }[kind]
        owner = Contact("192.0.2.1", number, bytes([number]) * 20)
        try:
            keeping.admit(KEY, owner, StoreEntry(encoded, 9, from_owner=is_direct))
        except (StoreRefused, RecordRefused):
            assert kind != "plain" or newest >= 0
            assert kind != "genuine" or seq < newest
        else:
            assert kind == "genuine" or (kind == "plain" and newest < 0)
        if kind == "genuine":
            newest = max(newest, seq)
        if newest >= 0:
            assert kept(node) == [_MADE[newest]]
        else:
            assert all(each.startswith(b"i") for each in kept(node))


def test_full_store_accepts_updates(world: World) -> None:
    node = world.node(params=Params(max_entries=1))
    assert store(world.peer(), node, signed(1).encoded) == ""
    assert store(world.peer(), node, signed(2).encoded) == ""
    assert store(world.peer(), node, signed(1).encoded, sha1("other")) == "record of another key"
    assert kept(node) == [signed(2).encoded]


def test_each_store_is_verified_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    real = signing.verify

    def count(public_key: bytes, signature: bytes, message: bytes) -> bool:
        asked.append(message)
        return real(public_key, signature, message)

    monkeypatch.setattr(signing, "verify", count)
    node, peer = world.alice, world.peer()
    store(peer, node, signed(1).encoded)
    assert len(asked) == 1
    store(peer, node, signed(1).encoded)  # it is there
    store(peer, node, signed(0).encoded)  # stale, whoever signed it
    store(peer, node, signed(9, expires=0).encoded)
    store(peer, node, b"5:plain")
    assert len(asked) == 1
    store(peer, node, forged(2).encoded)
    assert len(asked) == 2


def test_replica_without_crypto_refuses_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    node, peer = world.alice, world.peer()
    assert store(peer, node, signed(1).encoded) == "signatures can't be verified here"
    assert store(peer, node, b"5:plain") == ""
    assert store(peer, node, b"5:hello", sha1("5:hello")) == ""
    assert kept(node) == [b"5:plain"]
