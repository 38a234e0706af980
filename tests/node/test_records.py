"""Records stored in and read from a network with malicious replicas."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import gevent
import pytest

from kademlua import (
    CasMismatch,
    CryptoUnavailable,
    Node,
    Params,
    RecordExpired,
    RecordForged,
    RecordStale,
    SignedRecord,
    SigningKey,
    StoreFailed,
    sha1,
)
from kademlua.core.values import records
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.crypto import signing
from tests.replication.test_replicator import FEW, by_distance, vanish
from tests.support.parts import value_transfer
from tests.support.peers import ScriptedPeer
from tests.support.world import World
from tests.values.test_admission import KEY, SIGNER, forged, kept, signed

_liar_numbers = itertools.cycle(range(1, 256))


def liar(
    world: World, *values: bytes, key: bytes = KEY, takes: bytes = replies.STORE_OK
) -> ScriptedPeer:
    """The nearest of all to a key: answers with these values and swallows stores."""
    answers = {
        b"ping": replies.PONG,
        b"findvalue": replies.encode_findvalue_reply([], list(values), 1),
        b"store": takes,
    }
    number = next(_liar_numbers)
    peer = world.peer(key[:-1] + bytes([key[-1] ^ number]))
    peer.serve(lambda request: answers.get(request.name, b"ld7:closest0:ee"))
    return peer


def reader(world: World, nodes: list[Node], *liars: ScriptedPeer) -> Node:
    """A node that knows of the liars, and keeps nothing itself."""
    known = [each.contact.endpoint for each in liars]
    node = world.node(nodes[0], *known, read_only=True)
    assert node.wait_joined(30)
    assert all(peer.contact in node.table.closest(KEY, 99) for peer in liars)
    return node


# Immutable ones.


def test_an_immutable_record(world: World) -> None:
    nodes = world.network(5)
    recorded = nodes[0].put_immutable([b"any", 5])
    assert recorded.key == sha1(b"l3:anyi5ee")
    assert len(recorded.report.acknowledged) == 5
    assert nodes[4].get_immutable(recorded.key) == [b"any", 5]
    assert nodes[4].find_value(recorded.key)[0].values == [[b"any", 5]]
    with pytest.raises(KeyError):
        nodes[4].get_immutable(sha1("nothing"))


def test_an_immutable_record_among_liars(world: World) -> None:
    nodes = world.network(5)
    key = nodes[0].put_immutable(b"true").key
    liars = [liar(world, b"5:false", b"4:junk", key=key) for _ in range(3)]
    node = reader(world, nodes, *liars)
    assert node.get_immutable(key) == b"true"
    assert [each.values for each in node.find_value(key, max_nodes=20)] == [[b"true"]] * 5
    assert all(b"findvalue" in {each.name for each in peer.requests} for peer in liars)


# Signed ones.


def test_a_signed_record(world: World) -> None:
    nodes = world.network(5)
    recorded = nodes[0].put_signed({"a": 1}, SIGNER, salt=b"profile")
    record = nodes[4].get_signed(SIGNER.public_key, b"profile")
    assert record == recorded.signed_record
    assert record is not None
    assert (record.value, record.salt) == ({b"a": 1}, b"profile")
    assert record.key == recorded.key
    assert nodes[4].get_signed(SIGNER.public_key) is None
    # Another one writes the next, without having to know the number.
    second = nodes[3].put_signed(b"second", SIGNER, salt=b"profile").signed_record
    assert second is not None
    assert second.seq == record.seq + 1
    assert nodes[2].get_signed(SIGNER.public_key, b"profile").value == b"second"  # type: ignore[union-attr]
    assert all(len(node.datastore) == 1 for node in nodes)


def test_put_again_while_it_is_stale(world: World) -> None:
    nodes = world.network(5)
    nodes[0].put_signed(b"new", SIGNER, seq=5)
    for seq in (4, 5):
        with pytest.raises(RecordStale) as raised:
            nodes[1].put_signed(b"old", SIGNER, seq=seq)
        assert len(raised.value.report.refused) == 5  # type: ignore[attr-defined]
    assert nodes[1].get_signed(SIGNER.public_key).value == b"new"  # type: ignore[union-attr]


def test_one_of_two_concurrent_cas_succeeds(world: World) -> None:
    nodes = world.network(5)
    nodes[0].put_signed(b"0", SIGNER, seq=1)
    nodes[1].put_signed(b"a", SIGNER, seq=2, cas=1)
    with pytest.raises(CasMismatch):
        nodes[2].put_signed(b"b", SIGNER, seq=3, cas=1)
    assert nodes[3].get_signed(SIGNER.public_key).value == b"a"  # type: ignore[union-attr]


def test_few_refusing_replicas_do_not_fail_a_put(world: World) -> None:
    """Nor do they, where they lie."""
    nodes = world.network(5)
    liars = [liar(world, takes=replies.encode_refused_reply("stale record")) for _ in range(2)]
    node = reader(world, nodes, *liars)
    report = node.put_signed(b"v", SIGNER).report
    assert (len(report.acknowledged), len(report.refused)) == (5, 2)


def test_an_end_that_is_signed(world: World) -> None:
    nodes = world.network(3)
    nodes[0].put_signed(b"v", SIGNER, expires=world.now + 100)
    [(_, entry)] = nodes[1].datastore.entries(KEY)
    assert 98 < entry.expires_at - world.now <= 100
    gevent.sleep(101)
    assert nodes[1].get_signed(SIGNER.public_key) is None
    with pytest.raises(RecordExpired):
        nodes[0].put_signed(b"v", SIGNER, expires=world.now - 1)
    with pytest.raises(RecordExpired):
        nodes[0].put_signed(b"v", SIGNER, seq=1, ttl=60, expires=world.now - 1)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([forged(99).encoded], RecordForged),
        ([signed(99, salt=b"x").encoded], RecordForged),
        ([signed(99, expires=0).encoded], RecordExpired),
        ([b"4:junk"] * 500, None),
        ([b"le", b"de", b"i0e"], None),
    ],
    ids=["forged", "another's", "expired", "flood", "odd"],
)
def test_forged_records_are_rejected(
    world: World, values: list[bytes], error: type[Exception] | None
) -> None:
    """However near to the key they are, and how many."""
    nodes = world.network(5)
    liars = [liar(world, *values) for _ in range(6)]
    node = reader(world, nodes, *liars)
    if error is None:
        assert node.get_signed(SIGNER.public_key) is None
    else:
        with pytest.raises(error):
            node.get_signed(SIGNER.public_key)
    record = nodes[0].put_signed(b"true", SIGNER, seq=7).signed_record
    for answers in (None, 1, 3):
        assert node.get_signed(SIGNER.public_key, max_nodes=answers) == record
    shown = [each.values for each in node.find_value(KEY, max_nodes=99)]
    assert record is not None
    assert shown == [[replies.decode_value(record.encoded)]] * 5
    if error is not None:
        assert set(node.stats()["rejected_records"]) <= {
            "forged record",
            "record of another key",
            "expired record",
        }
        assert node.stats()["rejected_records"]
    assert node.put_signed(b"next", SIGNER).signed_record.seq == (
        100 if error is RecordExpired else 8
    )  # type: ignore[union-attr]


def test_stale_record_is_not_returned(world: World) -> None:
    nodes = world.network(5)
    node = reader(world, nodes, *[liar(world, signed(3, b"old").encoded) for _ in range(6)])
    nodes[0].put_signed(b"new", SIGNER, seq=4)
    assert node.get_signed(SIGNER.public_key).value == b"new"  # type: ignore[union-attr]
    shown = [value for answer in node.find_value(KEY, max_nodes=99) for value in answer.values]
    assert [value[b"seq"] for value in shown] == [4] * 5
    # Who knows of a newer one is not content with what there is.
    with pytest.raises(RecordStale):
        node.get_signed(SIGNER.public_key, min_seq=5)


def test_each_find_verifies_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = world.network(10)
    nodes[0].put_signed(b"v", SIGNER, seq=1)
    client = reader(world, nodes)
    asked: list[bytes] = []
    real = signing.verify

    def count(public_key: bytes, signature: bytes, message: bytes) -> bool:
        asked.append(message)
        return real(public_key, signature, message)

    monkeypatch.setattr(signing, "verify", count)
    for find in (
        lambda: client.get_signed(SIGNER.public_key),
        lambda: client.find_value(KEY, max_nodes=10),
        lambda: nodes[1].get_signed(SIGNER.public_key),
    ):
        asked.clear()
        assert find()
        assert len(asked) == 1
    asked.clear()
    assert len(nodes[1].put_signed(b"w", SIGNER, seq=2).report.acknowledged) == 10
    assert len(asked) == 10  # once at each holder


# Bad arguments, and no library.


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda node: node.put_signed(b"v", SIGNER, salt=bytes(65)), ValueError),
        (lambda node: node.put_signed(b"v", SIGNER, salt="text"), TypeError),
        (lambda node: node.put_signed(b"v", SIGNER, seq=-1), ValueError),
        (lambda node: node.put_signed(b"v", SIGNER, seq=1 << 63), ValueError),
        (lambda node: node.put_signed(b"v", SIGNER, ttl=-1), ValueError),
        (lambda node: node.put_signed(b"v" * 14_950, SIGNER), ValueError),
        (lambda node: node.put_signed(None, SIGNER), TypeError),
        (lambda node: node.put_immutable(b"v" * 15_000), ValueError),
        (lambda node: node.get_signed(b"short"), ValueError),
        (lambda node: node.get_signed("x" * 32), TypeError),
        (lambda node: node.get_signed(bytes(32), bytes(65)), ValueError),
        (lambda node: node.get_immutable(b"short"), ValueError),
    ],
)
def test_invalid_arguments_are_refused(
    world: World, call: Callable[[Node], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(world.alice)
    assert len(world.alice.datastore) == 0


def test_without_the_extra(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = world.network(3)
    nodes[0].put_signed(b"v", SIGNER)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert nodes[1].get_immutable(nodes[0].put_immutable(b"v").key) == b"v"
    assert nodes[2].find_value(KEY) == []  # what can't be checked is not shown
    assert nodes[2].stats()["rejected_records"] == {"signatures can't be verified here": 1 + 2}
    with pytest.raises(CryptoUnavailable):
        nodes[1].get_signed(SIGNER.public_key)

    class Elsewhere:
        """A signer that needs no library here."""

        public_key = bytes(range(32))

        def sign(self, message: bytes) -> bytes:
            return bytes(64)

    with pytest.raises(StoreFailed, match=r"3 refused \(signatures can't be verified here\)"):
        nodes[1].put_signed(b"v", Elsewhere(), seq=1)


# Among the holders.


def test_replication_transfers_records(world: World) -> None:
    nodes = world.network(8, params=FEW)
    record = nodes[0].put_signed(b"v", SIGNER, ttl=5000).signed_record
    assert record is not None
    key = nodes[0].put_immutable(b"i", ttl=5000).key
    gevent.sleep(70)
    for each, encoded in ((KEY, record.encoded), (key, b"1:i")):
        alive = [node for node in nodes if node.joined]
        vanish(world, by_distance(alive, each)[0])
        gevent.sleep(400)
        left = by_distance([node for node in alive if node.joined], each)
        assert [kept(node, each) for node in left[:4]] == [[encoded]] * 4


def test_replica_with_stale_record_is_updated(world: World) -> None:
    params = Params(replicas=4, replicate_interval=600)
    nodes = by_distance(world.network(6, params=params), KEY)
    nodes[5].put_signed(b"old", SIGNER, seq=1)
    behind = nodes[1]
    world.net.partition([{behind.contact.endpoint}])
    nodes[5].put_signed(b"new", SIGNER, seq=2)
    world.net.heal()
    assert [value[b"seq"] for value in _values(behind)] == [1]
    gevent.sleep(2 * 600)
    assert all(record[b"seq"] == 2 for node in nodes for record in _values(node))
    assert _values(behind)


def test_replica_with_newer_record_counts_as_stored(world: World) -> None:
    """So that a holder pushed out with a stale one may let go; and nobody can have a record
    forgotten by saying that its owner removed it."""
    node = world.alice
    node.put_signed(b"v", SIGNER, seq=1)
    newer = liar(world, takes=replies.encode_refused_reply("stale record"))
    others = [
        liar(world, takes=replies.encode_refused_reply(replies.REASON_REMOVED)) for _ in range(3)
    ]
    to = [peer.contact for peer in (newer, *others)]
    assert value_transfer(node).push(KEY, to) == {newer.contact}
    assert len(kept(node)) == 1


def _values(node: Node) -> list[dict[bytes, object]]:
    return [replies.decode_value(each) for each in kept(node)]


def test_v10_peer_stores_records_as_plain_values(world: World) -> None:
    """It takes them for values like all others, and hands them out beside such."""
    nodes = world.network(3)
    held: list[bytes] = [b"4:junk"]

    def original(request: Request) -> bytes:
        if request.name == b"store":
            held.append(replies.encode_value(request.args[1]))
        if request.name == b"findvalue":
            return replies.encode_findvalue_reply([], held, 0)
        answers = {b"ping": replies.PONG, b"store": replies.STORE_OK}
        return answers.get(request.name, b"llee")

    peer = world.peer(KEY)
    peer.serve(original)
    node = reader(world, nodes, peer)
    record = node.put_signed(b"v", SIGNER, seq=1).signed_record
    assert record is not None
    assert held == [b"4:junk", record.encoded]
    for each in nodes:
        each.close()
    gevent.sleep(200)
    again = world.node(peer.contact.endpoint)
    again.wait_joined()
    assert again.get_signed(SIGNER.public_key) == record


def test_the_record_type_is_public() -> None:
    assert SignedRecord is records.SignedRecord
    assert SigningKey is signing.SigningKey


@pytest.mark.parametrize("paths", [1, 4])
def test_records_are_found_on_disjoint_paths_among_liars(world: World, paths: int) -> None:
    nodes = world.network(12)
    nodes[0].put_signed(b"genuine", SIGNER)
    key = nodes[0].put_immutable(b"hashed").key
    asker = reader(world, nodes, *(liar(world, b"6:forged") for _ in range(4)))
    found = asker.get_signed(SIGNER.public_key, paths=paths)
    assert found is not None
    assert found.value == b"genuine"
    assert asker.get_immutable(key, paths=paths) == b"hashed"
