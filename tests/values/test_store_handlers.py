"""Store handlers: TTL, owners and replicated values."""

import gevent
import pytest

from kademlua import Contact, ContactPool, Params, sha1
from kademlua.core.contact import ALL_FAMILIES
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, requests, store_contacts
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEY = sha1("key")
OTHER = Contact("192.0.2.9", 4000, b"o" * 20)
TAKEN = replies.STORE_OK


def store(peer: ScriptedPeer, node: object, args: bytes) -> bytes:
    """Have a peer store; the payload of the answer, or its call where that is an error."""
    answer = peer.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False)
    )  # type: ignore[attr-defined]
    return answer.payload or b"%d" % answer.packet_type


def test_value_has_the_ttl_of_its_owner(world: World) -> None:
    node, peer = world.alice, world.peer()
    assert (
        store(peer, node, requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 30)))
        == TAKEN
    )
    [(owner, entry)] = node.datastore.entries(KEY)
    assert owner == peer.contact
    assert entry.from_owner
    assert entry.expires_at - entry.received_at == pytest.approx(30)
    gevent.sleep(29)
    assert node.find_value(KEY)
    gevent.sleep(1)
    assert not node.find_value(KEY)


@pytest.mark.parametrize("args", [b"", b"i0e", b"i0e0:", b"i0e0:i0e", b"i0e0:i0ede"])
def test_missing_ttl_gets_the_default(world: World, args: bytes) -> None:
    """As 1.0 does, which knows no time to live."""
    node, peer = world.node(params=Params(ttl=77)), world.peer()
    assert store(peer, node, b"20:" + KEY + b"1:v" + args) == TAKEN
    [(_, entry)] = node.datastore.entries(KEY)
    assert entry.expires_at - entry.received_at == pytest.approx(77)


def test_ttl_is_limited(world: World) -> None:
    node, peer = world.node(params=Params(max_ttl=100)), world.peer()
    store(peer, node, requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 10**12)))
    [(_, entry)] = node.datastore.entries(KEY)
    assert entry.expires_at - entry.received_at == pytest.approx(100)


@pytest.mark.parametrize(
    "args",
    [b"i0e0:i-1e", b"i0e0:1:x", b"i0e0:i1ei0e", b"i0e0:i1ed5:owner1:xe", b"i0e0:i1ed5:owneri1ee"],
)
def test_invalid_arguments_are_refused(world: World, args: bytes) -> None:
    assert store(world.peer(), world.alice, b"20:" + KEY + b"1:v" + args) == b"131"
    assert len(world.alice.datastore) == 0


def test_replicated_value_keeps_its_owner_and_end(world: World) -> None:
    node, peer, another = world.alice, world.peer(), world.peer()
    store(
        peer,
        node,
        requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 30, owner=OTHER)),
    )
    store(
        another,
        node,
        requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 40, owner=OTHER)),
    )
    [(owner, entry)] = node.datastore.entries(KEY)
    assert owner == OTHER
    assert not entry.from_owner
    assert entry.expires_at - entry.received_at == pytest.approx(30, abs=1)
    assert entry.sender == peer.contact


def test_replicated_value_does_not_replace_a_direct_store(world: World) -> None:
    node, owner, peer = world.alice, world.peer(), world.peer()
    store(owner, node, requests.encode_store_args(requests.StoreArguments(KEY, b"3:new", 30)))
    [(_, before)] = node.datastore.entries(KEY)
    gevent.sleep(10)
    args = requests.encode_store_args(
        requests.StoreArguments(KEY, b"3:old", 3000, owner=owner.contact)
    )
    assert store(peer, node, args) == TAKEN
    [(_, after)] = node.datastore.entries(KEY)
    assert (after.encoded, after.expires_at, after.from_owner) == (
        b"3:new",
        before.expires_at,
        True,
    )
    assert after.received_at > before.received_at
    # The other way round the owner's word counts.
    store(owner, node, requests.encode_store_args(requests.StoreArguments(KEY, b"5:newer", 5)))
    [(_, last)] = node.datastore.entries(KEY)
    assert last.encoded == b"5:newer"
    assert last.expires_at - last.received_at == pytest.approx(5)


def test_owner_sets_the_ttl(world: World) -> None:
    nodes = world.network(3)
    nodes[0].add(KEY, b"v", ttl=60)
    gevent.sleep(59)
    assert nodes[1].find_value(KEY)
    gevent.sleep(1.5)
    assert not nodes[1].find_value(KEY)


@pytest.mark.parametrize("ttl", [0, -1, 1e12, float("nan")])
def test_invalid_ttl_is_refused(world: World, ttl: float) -> None:
    with pytest.raises(ValueError, match="a TTL is 1s to"):
        world.alice.add(KEY, b"v", ttl=ttl)
    with pytest.raises(TypeError):
        world.alice.add(KEY, b"v", ttl="1h")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"i-0e", b"di1e1:ae", b"l" * 62 + b"e" * 62, b"l" * 999])
def test_value_that_no_peer_could_find_is_refused(world: World, value: bytes) -> None:
    """The original sends such values, and waits 1.5 s if there is no reply."""
    node, peer = world.alice, world.peer()
    payload = b"d4:name5:store4:argsl20:" + KEY + value + b"ee"
    answer = peer.call(node.contact.endpoint, payload)
    assert answer.packet_type == packets.RPC_RAISED
    assert len(node.datastore) == 0


def test_refusal_is_an_error_for_a_caller_of_1_0(world: World) -> None:
    """The original takes every return value for success."""
    node, peer = world.node(params=Params(max_value_bytes=2)), world.peer()
    args = b"20:" + KEY + b"1:v"
    answer = peer.call(node.contact.endpoint, b"d4:name5:store4:argsl%bee" % args)
    assert answer.packet_type == packets.RPC_RAISED
    assert store(peer, node, args) == replies.encode_refused_reply("value over 2 bytes")
    assert node.stats()["refused_stores"] == {"value over 2 bytes": 2}


@pytest.mark.parametrize(("asked", "count"), [(3, 3), (99, 11)])
def test_store_returns_the_contacts_that_it_asks_for(world: World, asked: int, count: int) -> None:
    """Without the sender; not more than there may be in a findnode reply."""
    node, *others = world.network(12)
    by_distance = sorted(
        (each.contact for each in others), key=lambda each: each.id_int ^ to_int(KEY)
    )
    arguments = requests.StoreArguments(KEY, b"1:v", 30, closest=asked)
    reply = store(world.peer(), node, requests.encode_store_args(arguments))
    found = store_contacts.decode_contacts(
        packets.decode_values(reply), ContactPool(), ALL_FAMILIES
    )
    assert found is not None
    assert set(found) == set(by_distance[:count])


def test_refused_store_returns_contacts_too(world: World) -> None:
    node, other = world.network(2, params=Params(max_value_bytes=2))
    args = requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 30, closest=8))
    refused = replies.encode_refused_reply("value over 2 bytes")
    expected = store_contacts.with_contacts(refused, [other.contact])
    assert store(world.peer(), node, args) == expected


@pytest.mark.parametrize("closest", [b"i0e", b"i-1e", b"1:x", b"le"])
def test_store_without_a_number_of_contacts_returns_none(world: World, closest: bytes) -> None:
    node, _ = world.network(2)
    args = b"20:%b1:vi0e0:i60ed7:closest%be" % (KEY, closest)
    assert store(world.peer(), node, args) == TAKEN


def test_contacts_wait_until_the_sender_is_validated(world: World) -> None:
    """A forged sender gets a ping, and nothing else: the amplification limit holds."""
    node, _ = world.network(2)
    peer = world.peer()
    args = requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 30, closest=20))
    payload = packets.encode_request_payload(b"store", args, read_only=False)
    peer.request(node.contact.endpoint, payload)
    gevent.sleep(5)
    assert {packets.decode(each).name for each in peer.unread} == {b"ping"}  # type: ignore[union-attr]
    assert not node.datastore.entries(KEY)
