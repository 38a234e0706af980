"""Reply payloads: exact encoding, and decoding of untrusted bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.contact import ALL_FAMILIES, AddressFamilies, Contact, ContactPool
from kademlua.core.errors import WireError
from kademlua.core.wire import bencoding, packets, replies, requests
from tests.core.strategies import contacts, contacts_v4, contacts_v6, ids, make_contact, values

KEY = b"k" * 20
FOUR = Contact("127.0.0.1", 8001, b"a" * 20)
SIX = Contact("::1", 8002, b"b" * 20)
BOTH = ALL_FAMILIES

mixed = st.lists(contacts, max_size=8)
bytes_values = st.lists(values.map(bencoding.encode), max_size=4)


def read_contacts(payload: bytes, reach: AddressFamilies = BOTH) -> list[Contact]:
    return replies.decode_findnode_reply(bencoding.decode(payload), ContactPool(), reach)


# Exact encodings.


def test_fixed_answers():
    assert replies.PONG == b"li5ee"
    assert replies.STORE_OK == b"li1ee"
    assert replies.BAD_KEY_FINDNODE == b"li0ee"
    assert replies.BAD_KEY_STORE == b"li0ee"
    assert replies.BAD_KEY_FINDVALUE == b"llee"  # one return value, an empty list


def test_findnode_answer_of_1_0():
    assert replies.encode_findnode_reply([FOUR], 0) == b"ll" + FOUR.encoded_v10 + b"ee"
    assert replies.encode_findnode_reply([], 0) == b"llee"


def test_findnode_answer_of_1_1():
    assert replies.encode_findnode_reply([FOUR, FOUR], 1) == (
        b"ld7:closest52:" + FOUR.compact + FOUR.compact + b"ee"
    )
    assert replies.encode_findnode_reply([SIX, FOUR], 1) == (
        b"ld7:closest26:" + FOUR.compact + b"8:closest638:" + SIX.compact + b"ee"
    )
    assert replies.encode_findnode_reply([], 1) == b"ld7:closest0:ee"


def test_findvalue_answer_of_1_0():
    assert replies.encode_findvalue_reply([FOUR], [b"1:a", b"i7e"], 0) == (
        b"ld7:closestl" + FOUR.encoded_v10 + b"e6:retvall1:ai7eeee"
    )
    assert replies.encode_findvalue_reply([], [], 0) == b"ld7:closestleee"


def test_findvalue_answer_of_1_1():
    assert replies.encode_findvalue_reply([SIX], [b"1:a"], 1) == (
        b"ld7:closest0:8:closest638:" + SIX.compact + b"6:retvall1:aeee"
    )


def test_refusal_holds_0_and_the_reason():
    assert replies.encode_refused_reply("no room") == b"li0e7:no roome"


def test_getsocket_answer():
    assert replies.encode_getsocket_reply("::1", 9555) == b"ld4:addr3:::14:porti9555eee"


@given(mixed, bytes_values, st.sampled_from([0, 1, 2]))
def test_encoded_replies_are_canonical_bencoding(contacts, found, version):
    for payload in (
        replies.encode_findnode_reply(contacts, version),
        replies.encode_findvalue_reply(contacts, found, version),
        replies.encode_refused_reply("why"),
        replies.encode_getsocket_reply("127.0.0.1", 1),
    ):
        assert bencoding.encode(bencoding.decode(payload)) == payload


# Round trips.


@given(mixed, bytes_values, st.integers(1, 3))
def test_answers_of_1_1_carry_all_contacts(contacts, found, version):
    expected = sorted(contacts, key=lambda contact: contact.is_ipv6)  # IPv4 first, else as given
    assert read_contacts(replies.encode_findnode_reply(contacts, version)) == expected
    payload = replies.encode_findvalue_reply(contacts, found, version)
    assert read_contacts(payload) == expected
    assert replies.decode_retval(bencoding.decode(payload)) == [bencoding.decode(v) for v in found]


@given(mixed, bytes_values)
def test_answers_to_1_0_never_hold_an_ipv6_contact(contacts, found):
    expected = [contact for contact in contacts if not contact.is_ipv6]
    assert read_contacts(replies.encode_findnode_reply(contacts, 0)) == expected
    payload = replies.encode_findvalue_reply(contacts, found, 0)
    assert read_contacts(payload) == expected
    assert replies.decode_retval(bencoding.decode(payload)) == [bencoding.decode(v) for v in found]
    for address in (contact.addr.encode() for contact in contacts if contact.is_ipv6):
        assert b"%d:%b" % (len(address), address) not in replies.encode_findnode_reply(contacts, 0)


@given(mixed, st.sampled_from([0, 1]))
def test_contacts_of_unreachable_families_are_omitted(contacts, version):
    payload = replies.encode_findnode_reply(contacts, version)
    assert not any(
        c.is_ipv6 for c in read_contacts(payload, AddressFamilies(ipv4=True, ipv6=False))
    )
    assert all(c.is_ipv6 for c in read_contacts(payload, AddressFamilies(ipv4=False, ipv6=True)))
    assert read_contacts(payload, AddressFamilies(ipv4=False, ipv6=False)) == []


def test_an_ipv6_contact_in_a_list_is_read_where_it_can_be_reached():
    listed = [[[b"::1", 8002, b"b" * 20]]]
    assert replies.decode_findnode_reply(listed, ContactPool(), BOTH) == [SIX]
    assert (
        replies.decode_findnode_reply(listed, ContactPool(), AddressFamilies(ipv4=True, ipv6=False))
        == []
    )


@given(values)
def test_values_there_and_back(value):
    assert replies.decode_value(replies.encode_value(value)) == value


def test_a_value_nested_as_deeply_as_can_be_is_read_from_an_answer():
    value: list[Any] = []
    while True:
        try:
            encoded = replies.encode_value([value])
        except TypeError:
            break
        value = [value]
    assert encoded == b"l" * 61 + b"e" * 61
    for answer in (
        replies.encode_findvalue_reply([FOUR], [encoded], 0),
        replies.encode_findvalue_reply([FOUR], [encoded], 1),
    ):
        assert replies.decode_retval(bencoding.decode(answer)) == [value]
    bencoding.decode(
        packets.encode_request_payload(
            b"store",
            requests.encode_store_args(requests.StoreArguments(KEY, encoded, 60, overwrite=True)),
            read_only=True,
        )
    )


def test_getsocket_there_and_back():
    values = bencoding.decode(replies.encode_getsocket_reply("::1", 9555))
    assert replies.decode_getsocket_reply(values) == ("::1", 9555)


def test_store_answers():
    assert replies.decode_store_reply([1]) is None
    assert replies.decode_store_reply([1, b"extra"]) is None
    assert replies.decode_store_reply([0]) == ("refused without a reason", 0)
    assert replies.decode_store_reply([0, 7]) == ("refused without a reason", 0)
    assert replies.decode_store_reply([0, b"no room"]) == ("no room", 0)
    assert replies.decode_store_reply(bencoding.decode(replies.encode_refused_reply("why", 7))) == (
        "why",
        7,
    )


def test_long_or_invalid_reason_is_truncated():
    refusal = replies.decode_store_reply([0, b"\xff\n" * 10_000, 1 << 80])
    assert refusal is not None
    assert len(refusal.reason) <= 200
    assert refusal.newest_seq == 0


def test_control_characters_of_a_reason_are_escaped():
    refusal = replies.decode_store_reply([0, b"full\n\x1b[2J"])
    assert refusal is not None
    assert refusal.reason == "full\\n\\x1b[2J"


def test_contacts_are_those_of_the_pool():
    pool = ContactPool()
    known = pool.intern(FOUR.addr, FOUR.port, FOUR.id)
    for version in (0, 1):
        answer = bencoding.decode(replies.encode_findnode_reply([FOUR], version))
        (read,) = replies.decode_findnode_reply(answer, pool, BOTH)
        assert read is known


# Extensions of newer versions.


def test_extra_return_values_keys_and_fields_are_ignored():
    listed = [FOUR.addr.encode(), FOUR.port, FOUR.id, b"more", {}]
    for answer in (
        [[listed], b"more"],
        [{b"closest": [listed], b"more": 1}, 5],
        [{b"closest": FOUR.compact, b"more": 1}],
    ):
        assert replies.decode_findnode_reply(answer, ContactPool(), BOTH) == [FOUR]
    assert replies.decode_retval([{b"retval": [1], b"token": b"t"}, 5]) == [1]
    assert replies.decode_getsocket_reply([{b"addr": b"a", b"port": 1, b"more": 1}, 5]) == ("a", 1)


def test_a_findvalue_answer_without_values_or_contacts():
    assert replies.decode_retval([{b"closest": []}]) == []
    assert replies.decode_findnode_reply([{b"retval": [1]}], ContactPool(), BOTH) == []


# Malformed replies.


@pytest.mark.parametrize(
    "contact",
    [
        b"contact",
        [],
        [b"127.0.0.1", 1],
        [b"127.0.0.1", b"1", KEY],
        [b"127.0.0.1", 1, 1],
        [1, 1, KEY],
        [b"localhost", 1, KEY],
        [b"\xff\xff", 1, KEY],
        [b"127.0.0.1\0", 1, KEY],
        [b"", 1, KEY],
        [b"1" * 10_000, 1, KEY],
        [b"127.0.0.1", 0, KEY],
        [b"127.0.0.1", 65536, KEY],
        [b"127.0.0.1", -1, KEY],
        [b"127.0.0.1", 10**100, KEY],
        [b"127.0.0.1", 1, KEY[:-1]],
        [b"127.0.0.1", 1, KEY + b"k"],
    ],
    ids=str,
)
def test_bad_listed_contacts(contact):
    for answer in ([[contact]], [{b"closest": [contact]}]):
        with pytest.raises(WireError):
            replies.decode_findnode_reply(answer, ContactPool(), BOTH)


@pytest.mark.parametrize(
    "answer",
    [
        {b"closest": 1},
        {b"closest": {}},
        {b"closest": FOUR.compact[:-1]},
        {b"closest": FOUR.compact + b"x"},
        {b"closest": FOUR.compact, b"closest6": 1},
        {b"closest": b"", b"closest6": SIX.compact + b"x"},
        {b"closest": SIX.compact},
        {b"closest6": FOUR.compact},
        {b"closest": FOUR.compact[:-2] + b"\0\0"},
        {b"closest6": KEY + bytes(10) + b"\xff\xff\x7f\0\0\x01" + b"\0\x01"},
    ],
    ids=str,
)
def test_bad_packed_contacts(answer):
    with pytest.raises(WireError):
        replies.decode_findnode_reply([answer], ContactPool(), BOTH)


def test_contacts_read_from_one_reply_are_limited():
    many = [make_contact(number) for number in range(2000)]
    for version in (0, 1):
        read = read_contacts(replies.encode_findnode_reply(many, version))
        assert read == many[: replies.MAX_CONTACTS]
        # Not less than an honest node with the largest k may send.
        assert read_contacts(replies.encode_findnode_reply(many[:64], version)) == many[:64]


@pytest.mark.parametrize("answer", [[], [1], [b"x"], [{b"retval": 1}], [{b"retval": {}}], [[]]])
def test_bad_values(answer):
    with pytest.raises(WireError):
        replies.decode_retval(answer)


@pytest.mark.parametrize("answer", [[], [b"1"], [[1]], [{}]])
def test_bad_store_answers(answer):
    with pytest.raises(WireError):
        replies.decode_store_reply(answer)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [b"127.0.0.1"],
        [{}],
        [{b"addr": b"127.0.0.1"}],
        [{b"addr": 1, b"port": 1}],
        [{b"addr": b"127.0.0.1", b"port": b"1"}],
        [{b"addr": b"127.0.0.1", b"port": 0}],
        [{b"addr": b"127.0.0.1", b"port": 65536}],
        [{b"addr": b"1" * 1000, b"port": 1}],
    ],
)
def test_bad_getsocket_answers(answer):
    with pytest.raises(WireError):
        replies.decode_getsocket_reply(answer)


# Any structure at all, biased towards those that look right.
raw_contacts = st.tuples(
    st.sampled_from([b"127.0.0.1", b"::1", b"x", b"\xff"]) | values,
    st.integers(-1, 70_000) | values,
    ids | values,
).map(list)
packed = st.one_of(
    st.lists(contacts_v4.map(lambda c: c.compact), max_size=3).map(b"".join),
    st.lists(contacts_v6.map(lambda c: c.compact), max_size=3).map(b"".join),
    st.integers(0, 4).flatmap(lambda n: st.binary(min_size=26 * n, max_size=26 * n)),
)
listed = st.lists(raw_contacts | values, max_size=3)
answers = st.fixed_dictionaries(
    {},
    optional={
        b"closest": packed | listed | values,
        b"closest6": packed | values,
        b"retval": st.lists(values, max_size=3) | values,
        b"addr": st.binary(max_size=70) | values,
        b"port": st.integers(-1, 70_000) | values,
    },
)
anything = st.lists(answers | listed | values, max_size=3)


@given(anything, st.builds(AddressFamilies, ipv4=st.booleans(), ipv6=st.booleans()))
def test_readers_raise_nothing_but_wire_errors(returned: list[Any], reach):
    for read in (
        lambda: replies.decode_findnode_reply(returned, ContactPool(), reach),
        lambda: replies.decode_retval(returned),
        lambda: replies.decode_store_reply(returned),
        lambda: replies.decode_getsocket_reply(returned),
    ):
        with contextlib.suppress(WireError):
            read()
