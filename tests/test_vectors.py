"""The test vectors of ids, records, tokens, private networks and exchanges of packets.

``tests/core/wire/test_vectors.py`` checks those of single packets.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kademlua import Node
from kademlua.core import ids
from kademlua.core.contact import Endpoint, canonical_address
from kademlua.core.errors import RecordRefused, StoreRefused, WireError
from kademlua.core.objects.errors import MalformedObject
from kademlua.core.objects.tree import TreeBuilder, parse_root
from kademlua.core.reasons import DropReason
from kademlua.core.routing import bep42
from kademlua.core.security.replay_protection import TRAILER, Session, SessionTable
from kademlua.core.security.write_tokens import WriteTokens
from kademlua.core.values import records
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import bencoding, packets, replies
from kademlua.core.wire.packets import Request
from kademlua.crypto import mail
from kademlua.crypto.datagram_cipher import DatagramCipher
from kademlua.crypto.fingerprint import secret_fingerprint
from kademlua.crypto.key_derivation import Purpose, derive_key
from kademlua.crypto.key_files import KeyKind, read_key, write_key
from kademlua.crypto.sealed_blocks import SealedForm
from kademlua.crypto.sealed_values import open_value
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import SigningKey, verify
from kademlua.runtime.private_transport import PrivateTransport
from kademlua.values.admission import AdmissionPolicy
from tests.support import reference_aead, reference_hpke
from tests.support.vectors import (
    VECTORS,
    Vector,
    contact_of,
    each,
    endpoint_of,
    hex_bytes,
    load,
    value_of,
)
from tests.support.world import World

IDS, RECORDS, TOKENS = load("ids.json"), load("records.json"), load("tokens.json")
COUNTERS, PRIVATE, EXCHANGES = load("counters.json"), load("private.json"), load("exchanges.json")
ENCRYPTION = load("encryption.json")
OBJECTS, MAIL, KEY_FILES = load("objects.json"), load("mail.json"), load("key_files.json")
SECRETS = load("secrets.json")
SECRET_OBJECTS = load("secret_objects.json")


def of_kind(kind: str, vectors: list[Vector] = RECORDS) -> pytest.MarkDecorator:
    return each([vector for vector in vectors if vector["kind"] == kind])


class FixedRandom(random.Random):
    """A source of randomness whose bytes repeat a pattern."""

    pattern = b""

    def randbytes(self, n: int) -> bytes:
        return (self.pattern * n)[:n]


def fixed_random(pattern: bytes) -> FixedRandom:
    source = FixedRandom(1)
    source.pattern = pattern
    return source


def test_readme_names_each_file() -> None:
    readme = (VECTORS / "README.md").read_text()
    names = {path.name for path in VECTORS.glob("*.json")}
    assert names == set(re.findall(r"\]\((\w+\.json)\)", readme))


# Ids.


@each([vector for vector in IDS if "text" in vector])
def test_key_of_text(vector: Vector) -> None:
    assert ids.sha1(vector["text"]) == hex_bytes(vector, "key")


@each([vector for vector in IDS if "distance" in vector])
def test_distance(vector: Vector) -> None:
    a, b = hex_bytes(vector, "a"), hex_bytes(vector, "b")
    assert ids.xor(a, b) == ids.xor(b, a) == hex_bytes(vector, "distance")
    assert ids.bucket_number(a, b) == vector["bucket"]


@each([vector for vector in IDS if "crc32c" in vector])
def test_id_of_address(vector: Vector) -> None:
    node_id, address = hex_bytes(vector, "id"), canonical_address(vector["address"])[1]
    assert f"{bep42.crc32c(hex_bytes(vector, 'hashed')):08x}" == vector["crc32c"]
    assert bep42.is_bep42_id(node_id, address)
    made = bep42.bep42_id(address, random.Random(1), last_byte=node_id[-1])
    assert int.from_bytes(made[:3]) >> 3 == vector["first_21_bits"]
    assert not bep42.is_bep42_id(bytes([node_id[0] ^ 1]) + node_id[1:], address)


# Records.


@of_kind("immutable")
def test_immutable_record(vector: Vector) -> None:
    record, key = hex_bytes(vector, "record"), hex_bytes(vector, "key")
    assert records.encode_value(value_of(vector["value"])) == record
    assert records.immutable_key(record) == key
    assert records.is_immutable(key, record)
    assert bencoding.decode(record) == value_of(vector["value"])


@of_kind("signed")
def test_signed_record(vector: Vector) -> None:
    salt, seq, expires_at = hex_bytes(vector, "salt"), vector["seq"], vector["exp"]
    value = records.encode_value(value_of(vector["value"]))
    signer = SigningKey(hex_bytes(vector, "private_key"))
    assert signer.public_key == hex_bytes(vector, "public_key")
    to_sign = records.signed_bytes(salt, seq, expires_at, value)
    assert to_sign == hex_bytes(vector, "signed_bytes")
    signature = signer.sign(to_sign)
    assert signature == hex_bytes(vector, "signature")
    made = SignedRecord(signer.public_key, salt, seq, expires_at, signature, value)
    assert made.encoded == hex_bytes(vector, "record")
    parsed = records.parse_signed(hex_bytes(vector, "record"))
    assert parsed == made
    records.check_key(parsed, hex_bytes(vector, "key"))
    records.check_signature(parsed, verify)


def admit(world: World, vector: Vector) -> None:
    """Store the vector's record at a node, after the one that it holds."""
    key, owner = hex_bytes(vector, "key"), world.peer().contact
    node = world.node(wall_clock=lambda: vector["now"])
    policy = AdmissionPolicy(node.datastore, node.services.context.wall_clock)
    if "stored" in vector:
        policy.admit(key, owner, StoreEntry(hex_bytes(vector, "stored"), world.now + 60))
    new = StoreEntry(hex_bytes(vector, "record"), world.now + 60, received_at=world.now)
    policy.admit(key, owner, new, cas=vector.get("cas"))
    assert node.datastore.get(key, 9, world.now) == [hex_bytes(vector, "record")]


@of_kind("accepted")
def test_accepted_record(vector: Vector, world: World) -> None:
    admit(world, vector)


@of_kind("refused")
def test_refused_record(vector: Vector, world: World) -> None:
    with pytest.raises((RecordRefused, StoreRefused)) as caught:
        admit(world, vector)
    assert caught.value.reason == vector["reason"]


@of_kind("plain")
def test_plain_value_that_resembles_a_record(vector: Vector, world: World) -> None:
    assert records.parse_signed(hex_bytes(vector, "record")) is None
    admit(world, vector)


@of_kind("chosen")
def test_record_that_a_reader_chooses(vector: Vector) -> None:
    values = [bencoding.decode(bytes.fromhex(text)) for text in vector["values"]]
    for order in (values, values[::-1]):
        record_filter = RecordFilter(
            hex_bytes(vector, "key"), verify=verify, wall_clock=lambda: vector["now"]
        )
        assert record_filter.filter(order) == [bencoding.decode(hex_bytes(vector, "chosen"))]


# Objects.


@each([vector for vector in OBJECTS if "root" in vector])
def test_object(vector: Vector) -> None:
    pattern, size = hex_bytes(vector, "pattern"), vector["size"]
    builder = TreeBuilder(vector["block"])
    blocks = builder.add((pattern * (size + 1))[:size]) + builder.finish()
    root = blocks.pop()
    assert (root.encoded, root.key) == (hex_bytes(vector, "root"), hex_bytes(vector, "key"))
    assert {block.key.hex() for block in blocks} == set(vector["keys"])
    parsed = parse_root(bencoding.decode(root.encoded))
    assert (parsed.layout.size, parsed.layout.block_bytes) == (size, vector["block"])
    assert parsed.layout.record_count == len(vector["keys"]) + 1


@each([vector for vector in OBJECTS if "refused" in vector])
def test_no_object(vector: Vector) -> None:
    with pytest.raises(MalformedObject):
        parse_root(bencoding.decode(hex_bytes(vector, "refused")))


# Tokens, tickets and tags.


@of_kind("write token", TOKENS)
def test_write_token(vector: Vector) -> None:
    tokens = WriteTokens(fixed_random(hex_bytes(vector, "secret")))
    sender = endpoint_of(vector), hex_bytes(vector, "id"), hex_bytes(vector, "key")
    assert tokens.issue(*sender, now=0.0) == hex_bytes(vector, "token")
    assert tokens.verify(hex_bytes(vector, "token"), *sender, now=599.0)
    assert not tokens.verify(bytes(8), *sender, now=599.0)


@of_kind("challenge ticket", TOKENS)
def test_challenge_ticket(vector: Vector) -> None:
    sessions = SessionTable(fixed_random(hex_bytes(vector, "secret")))
    endpoint, previous = endpoint_of(vector), hex_bytes(vector, "previous")
    if previous:
        assert sessions.check(endpoint, TRAILER.pack(previous, 7)) is None
    ticket = hex_bytes(vector, "ticket")
    assert sessions.ticket_for(endpoint) == ticket
    assert sessions.check(endpoint, TRAILER.pack(ticket, 1)) is None


@each(COUNTERS)
def test_counters(vector: Vector) -> None:
    first, *others = vector["counters"]
    session = Session()
    session.start_window(b"ticket-8", first["counter"])
    accepted = [session.check_counter(row["counter"]) is None for row in others]
    assert accepted == [row["accepted"] for row in others]


# Private networks.


@each(ENCRYPTION)
def test_encryption(vector: Vector) -> None:
    packet, datagram = hex_bytes(vector, "packet"), hex_bytes(vector, "datagram")
    nonce, network_key = hex_bytes(vector, "nonce"), hex_bytes(vector, "network_key")
    assert derive_key(network_key, Purpose.DATAGRAMS) == hex_bytes(vector, "datagram_key")
    assert DatagramCipher([network_key]).open(datagram) == packet
    assert DatagramCipher([bytes(32), network_key]).open(datagram) == packet
    assert reference_aead.seal_datagram(network_key, nonce, packet) == datagram
    assert len(DatagramCipher([network_key]).seal(packet)) == len(datagram)


@each(MAIL)
def test_mail(vector: Vector) -> None:
    address, letter = hex_bytes(vector, "address"), hex_bytes(vector, "letter")
    message, sealed = hex_bytes(vector, "message"), hex_bytes(vector, "sealed")
    reader = SigningKey(hex_bytes(vector, "reader_key"))
    sender, time = hex_bytes(vector, "sender_key"), vector["microseconds"]
    label = b"kademlua 1.1 mail"
    assert hashlib.sha1(label + address).digest() == hex_bytes(vector, "mailbox_key")
    assert mail.mailbox_key(address) == hex_bytes(vector, "mailbox_key")
    assert mail.mail_address(reader) == address
    ephemeral_key = hex_bytes(vector, "ephemeral_key")
    assert reference_hpke.seal(ephemeral_key, address, label, letter) == sealed
    opened = mail.MailReader(reader).open(sealed)
    if not vector["opens"]:
        assert opened is None
        return
    assert opened == mail.OpenedMail(SigningKey(sender).public_key, time, message)
    assert reference_hpke.mail_letter(sender, address, time, message) == letter
    assert len(mail.seal(address, message, SigningKey(sender), time)) == len(sealed)


@each(KEY_FILES)
def test_key_file(vector: Vector, tmp_path: Path) -> None:
    path, kind, key = tmp_path / "key", KeyKind(vector["kind"].encode()), hex_bytes(vector, "key")
    write_key(path, kind, key)
    assert path.read_text() == vector["file"]
    is_signing = kind is KeyKind.SIGNING
    fingerprint = SigningKey(key).fingerprint if is_signing else secret_fingerprint(key)
    assert fingerprint == vector["fingerprint"]
    path.write_text(vector["encrypted_file"])
    assert read_key(path, kind, vector["passphrase"]) == key
    # The same with other code.
    salt, nonce = hex_bytes(vector, "salt"), hex_bytes(vector, "nonce")
    passphrase = unicodedata.normalize("NFC", vector["passphrase"]).encode()
    stretched = hashlib.scrypt(passphrase, salt=salt, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32)
    assert stretched == hex_bytes(vector, "stretched_key")
    word = f"encrypted-{vector['kind']}"
    sealed = reference_aead.xaes256_gcm(stretched, nonce, key, word.encode())
    assert f"{word} {(salt + nonce + sealed).hex()}\n" == vector["encrypted_file"]


@each(SECRETS)
def test_secret_value(vector: Vector) -> None:
    raw, key = hex_bytes(vector, "secret"), hex_bytes(vector, "key")
    encoded, sealed = hex_bytes(vector, "encoded"), hex_bytes(vector, "sealed")
    context = hex_bytes(vector, "context")
    secret = Secret(raw)
    if "passphrase" in vector:
        salt, passphrase = b"kademlua 1.1 secret", vector["passphrase"]
        normal = unicodedata.normalize("NFC", passphrase).encode()
        assert (
            hashlib.scrypt(normal, salt=salt, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32) == raw
        )
        assert Secret.from_passphrase(passphrase).fingerprint == secret.fingerprint
    if key:
        assert secret.blind_key(key) == hex_bytes(vector, "blinded_key")
        assert reference_aead.blind(raw, key) == hex_bytes(vector, "blinded_key")
    if not vector["opens"]:
        assert open_value(secret, sealed, context) is None
        return
    nonce = sealed[:24]
    assert secret.open(sealed, context) == encoded
    assert open_value(secret, sealed, context) == bencoding.decode(encoded)
    assert reference_aead.seal_secret_value(raw, nonce, encoded, context) == sealed
    assert len(secret.seal(encoded, context)) == len(sealed)


@each([vector for vector in SECRET_OBJECTS if "records" in vector])
def test_secret_object(vector: Vector) -> None:
    raw, size, block_bytes = hex_bytes(vector, "secret"), vector["size"], vector["block"]
    form = SealedForm(Secret(raw))
    builder = TreeBuilder(block_bytes, form)
    content = (hex_bytes(vector, "pattern") * (size + 1))[:size]
    records = {block.key: block.encoded for block in builder.add(content) + builder.finish()}
    sealed = [bytes.fromhex(each) for each in vector["records"]]
    assert set(records.values()) == {bencoding.encode(each) for each in sealed}
    assert records[hex_bytes(vector, "key")] == bencoding.encode(sealed[-1])
    assert parse_root(form.decode(sealed[-1])).layout.size == size
    full_bytes = len(bencoding.encode(bytes(block_bytes)))
    for each_sealed in sealed:
        encoded = bencoding.encode(form.decode(each_sealed))
        min_bytes = 0 if each_sealed is sealed[-1] else full_bytes
        assert reference_aead.seal_block(raw, encoded, min_bytes) == each_sealed


@each([vector for vector in SECRET_OBJECTS if "refused" in vector])
def test_no_secret_object(vector: Vector) -> None:
    form = SealedForm(Secret(hex_bytes(vector, "secret")))
    with pytest.raises(MalformedObject):
        parse_root(form.decode(bencoding.decode(hex_bytes(vector, "refused"))))


class Wire:
    """A transport without a network: it keeps what is sent, and delivers by hand."""

    supports_ipv4, supports_ipv6, is_backlogged = True, True, False

    def __init__(self, local: Endpoint) -> None:
        self.local_endpoint = local
        self.sent: list[tuple[bytes, Endpoint]] = []
        self.receive: Callable[[bytes, Endpoint], None] = lambda *_: None

    def start(self, receive: Callable[[bytes, Endpoint], None]) -> None:
        self.receive = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        self.sent.append((datagram, endpoint))
        return True

    def has_unread(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Member:
    """A node of a private network, as far as its transport."""

    def __init__(self, form: Vector, keys: list[bytes]) -> None:
        self.wire = Wire(endpoint_of(form))
        self.dropped: Counter[str] = Counter()
        self.received: list[bytes] = []
        self.calls: dict[bytes, bytes] = {}
        self.transport = PrivateTransport(
            self.wire,
            DatagramCipher(keys),
            self.dropped,
            fixed_random(hex_bytes(form, "random")),
            lambda rpc_id, _: self.calls.get(rpc_id),
            hex_bytes(form, "id"),
        )
        self.transport.start(self._receive)

    def send(self, packet: bytes, to: Endpoint) -> None:
        if packet[29] == packets.REQUEST:
            self.calls[packet[21:29]] = packet
        self.transport.send(packet, to)

    def _receive(self, packet: bytes, _: Endpoint) -> None:
        self.received.append(packet)
        if packet[29] != packets.REQUEST:
            self.calls.pop(packet[21:29], None)


@each(PRIVATE)
def test_private_network(vector: Vector) -> None:
    keys = [bytes.fromhex(text) for text in vector["network_keys"]]
    cipher = DatagramCipher(keys)
    members = {name: Member(vector[name], keys) for name in ("caller", "callee")}
    for step in vector["datagrams"]:
        sender = members[step["from"]]
        receiver = members["callee" if step["from"] == "caller" else "caller"]
        datagram, packet = hex_bytes(step, "datagram"), hex_bytes(step, "packet")
        to = receiver.wire.local_endpoint
        if step.get("sends") == "packet":
            sender.send(packet, to)
        if "sends" in step:
            sent, sent_to = sender.wire.sent.pop(0)
            assert (cipher.open(sent), len(sent)) == (cipher.open(datagram), len(datagram))
            assert sent_to == to
        receiver.wire.receive(datagram, sender.wire.local_endpoint)
        outcome = step["outcome"]
        if outcome in {*DropReason}:
            assert receiver.dropped.pop(outcome) == 1
        elif outcome == "accepted":
            assert receiver.received.pop() == packet
            if "ticket" in step:
                opened = cipher.open(datagram)
                assert opened is not None
                trailer = opened[len(packet) :]
                assert TRAILER.unpack(trailer) == (hex_bytes(step, "ticket"), step["counter"])
        assert not receiver.dropped
        assert not receiver.received
    assert not any(member.wire.sent for member in members.values())


# Exchanges with a whole node.

NODE_ID = b"ABCDEFGHIJ0123456789"
NODE_AT, CALLER_AT = ("198.51.100.1", 8001), ("192.0.2.7", 8007)
CALLER_ID = b"abcdefghij0123456789"


def node_of(world: World, vector: Vector) -> tuple[Node, Wire]:
    """A node in the state that an exchange begins with."""
    wire = Wire(NODE_AT)
    node = world.node(
        id=NODE_ID, transport=wire, rng=fixed_random(b"node-rpc"), read_only=vector["client"]
    )
    if vector["validated"]:
        caller = contact_of({"id": CALLER_ID.hex(), "address": CALLER_AT[0], "port": CALLER_AT[1]})
        node.table.on_reply(caller, world.now)
    for form in vector["contacts"]:
        node.table.on_reply(contact_of(form), world.now)
    for form in vector["values"]:
        encoded = replies.encode_value(value_of(form["value"]))
        entry = StoreEntry(encoded, world.now + form["ttl"], received_at=world.now)
        node.datastore.put(hex_bytes(form, "key"), contact_of(form["owner"]), entry)
    return node, wire


def comparable(datagram: bytes) -> Any:
    """A packet, with contacts in order, since a reply has them in any."""
    packet = packets.decode(datagram)
    if isinstance(packet, Request) or packet.packet_type != packets.RESPONSE:
        return datagram
    values = packets.decode_values(packet.payload)
    first = values[0] if values else None
    if isinstance(first, list):
        values[0] = sorted(first)
    if isinstance(first, dict) and isinstance(first.get(b"closest"), bytes):
        packed = first[b"closest"]
        first[b"closest"] = sorted(packed[at : at + 26] for at in range(0, len(packed), 26))
    return datagram[:30], len(datagram), values


@each(EXCHANGES)
def test_exchange(vector: Vector, world: World) -> None:
    node, wire = node_of(world, vector)
    for step in vector["packets"]:
        packet = hex_bytes(step, "packet")
        if step["from"] == "caller":
            assert not wire.sent
            wire.receive(packet, CALLER_AT)
        else:
            sent, to = wire.sent.pop(0)
            assert comparable(sent) == comparable(packet)
            host, _, port = step.get("to", "").rpartition(":")
            assert to == ((host, int(port)) if host else CALLER_AT)
    assert not wire.sent
    dropped = vector.get("dropped")
    assert node.stats()["dropped"] == ({dropped: 1} if dropped else {})


@each([vector for vector in EXCHANGES if not vector.get("dropped")])
def test_packets_of_an_exchange_decode(vector: Vector) -> None:
    for step in vector["packets"]:
        try:
            packets.decode(hex_bytes(step, "packet"))
        except WireError as error:
            pytest.fail(str(error))
