"""Contacts: equality, packing, pooling and parsing."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kademlua.core.contact import (
    COMPACT_V4_BYTES,
    COMPACT_V6_BYTES,
    Contact,
    ContactPool,
    canonical_address,
    encode_v10_contacts,
    format_endpoint,
    parse_endpoint,
)
from kademlua.core.errors import WireError
from tests.core.strategies import contacts, contacts_v4, contacts_v6, ids, make_contact

ID = bytes(range(20))


def test_packed_bytes_of_ipv4():
    contact = Contact("127.0.0.1", 8001, ID)
    assert contact.compact == ID + b"\x7f\x00\x00\x01" + b"\x1f\x41"
    assert len(contact.compact) == COMPACT_V4_BYTES == 26
    assert not contact.is_ipv6


def test_packed_bytes_of_ipv6():
    contact = Contact("::1", 8001, ID)
    assert contact.compact == ID + bytes(15) + b"\x01" + b"\x1f\x41"
    assert len(contact.compact) == COMPACT_V6_BYTES == 38
    assert contact.is_ipv6


def test_listed_as_version_1_0_lists_it():
    assert Contact("127.0.0.1", 8001, ID).encoded_v10 == b"l9:127.0.0.1i8001e20:" + ID + b"e"


def test_an_ipv6_contact_is_never_listed():
    four, six = Contact("127.0.0.1", 1, ID), Contact("::1", 1, ID)
    assert encode_v10_contacts([six, four, six]) == b"l" + four.encoded_v10 + b"e"
    assert encode_v10_contacts([six]) == b"le"


@given(contacts)
# Addresses whose text begins as that of an IPv4 address in IPv6's clothes.
@example(Contact("::ffff:0:102:304", 1, ID))
@example(Contact("::ffff:1:2:3", 1, ID))
@example(Contact("::fffe:1.2.3.4", 1, ID))
@example(Contact("::", 65535, bytes(20)))
def test_packed_there_and_back(contact):
    again = Contact.from_compact(contact.compact)
    assert again == contact
    assert (again.addr, again.port, again.id) == (contact.addr, contact.port, contact.id)
    assert (again.endpoint, again.encoded_v10, again.id_int) == (
        contact.endpoint,
        contact.encoded_v10,
        contact.id_int,
    )


@given(st.binary(max_size=60) | st.binary(min_size=26, max_size=26) | st.binary(min_size=38))
def test_unpacking_any_bytes_gives_their_contact_or_a_wire_error(packed):
    try:
        contact = Contact.from_compact(packed)
    except WireError:
        return
    assert contact.compact == packed
    assert Contact(contact.addr, contact.port, contact.id) == contact


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        ID,
        ID + bytes(5),
        ID + bytes(7),
        ID + b"\x7f\x00\x00\x01" + bytes(2),  # port 0
        ID + bytes(15) + b"\x01" + bytes(2),
        ID + bytes(10) + b"\xff\xff\x7f\x00\x00\x01" + b"\x00\x01",  # IPv4 in IPv6's clothes
        (ID + b"\x7f\x00\x00\x01\x00\x01") * 2,
    ],
)
def test_bad_packed_bytes(packed):
    with pytest.raises(WireError):
        Contact.from_compact(packed)


@given(contacts, contacts)
def test_equal_where_address_port_and_id_are(a, b):
    same = (a.addr, a.port, a.id) == (b.addr, b.port, b.id)
    assert (a == b) == same
    twin = Contact(a.addr, a.port, a.id)
    assert twin == a
    assert hash(twin) == hash(a)


def test_each_part_counts_for_equality():
    one = Contact("10.0.0.1", 1, ID)
    assert one != Contact("10.0.0.2", 1, ID)
    assert one != Contact("10.0.0.1", 2, ID)
    assert one != Contact("10.0.0.1", 1, bytes(20))
    assert one != one.compact


def test_one_address_has_one_text():
    assert Contact("0:0::0001", 1, ID) == Contact("::1", 1, ID)
    assert Contact("::ffff:10.0.0.1", 1, ID) == Contact("10.0.0.1", 1, ID)
    assert canonical_address("2001:DB8::1")[0] == "2001:db8::1"


@given(st.ip_addresses())
def test_canonical_texts_agree_with_the_standard_library(address):
    text, raw = canonical_address(str(address))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert raw == (mapped or address).packed
    assert ipaddress.ip_address(text) == (mapped or address)


@pytest.mark.parametrize(
    ("addr", "port", "node_id"),
    [
        ("localhost", 1, ID),
        ("", 1, ID),
        ("1.2.3", 1, ID),
        ("1.2.3.256", 1, ID),
        ("01.2.3.4\0", 1, ID),
        ("1.2.3.4 ", 1, ID),
        ("fe80::1%eth0", 1, ID),
        ("fe80::1", 1, ID),
        ("febf:ffff::1", 1, ID),
        ("\ud800::", 1, ID),
        ("1.2.3.4", 0, ID),
        ("1.2.3.4", 65536, ID),
        ("1.2.3.4", -1, ID),
        ("1.2.3.4", 1, ID[:-1]),
        ("1.2.3.4", 1, ID + b"\0"),
    ],
)
def test_invalid_contact_is_refused(addr, port, node_id):
    with pytest.raises(ValueError, match=r"not |link-local"):
        Contact(addr, port, node_id)


def test_a_contact_shows_what_it_is():
    assert repr(Contact("::1", 8001, ID)) == f"<Contact [::1]:8001 {ID.hex()}>"


class TestPool:
    @given(contacts)
    def test_equal_contacts_are_one_object(self, contact):
        pool = ContactPool()
        one = pool.from_compact(contact.compact)
        assert one == contact
        assert pool.from_compact(bytes(contact.compact)) is one
        assert pool.intern(contact.addr, contact.port, contact.id) is one

    def test_find_interns_nothing(self):
        pool = ContactPool()
        contact = make_contact(0)
        assert pool.find(contact.addr, contact.port, contact.id) == contact
        assert pool.find_compact(contact.compact) == contact
        assert len(pool) == 0
        known = pool.from_compact(contact.compact)
        assert pool.find_compact(contact.compact) is known

    @given(st.lists(contacts_v4, max_size=5), st.lists(contacts_v6, max_size=5))
    def test_unpacks_rows(self, four, six):
        pool = ContactPool()
        assert pool.from_compact_list(b"".join(c.compact for c in four), COMPACT_V4_BYTES) == four
        assert pool.from_compact_list(b"".join(c.compact for c in six), COMPACT_V6_BYTES) == six

    @pytest.mark.parametrize("packed", [bytes(27), b"x" * 25, ID + b"\x01\x01\x01\x01\0\0"])
    def test_bad_rows(self, packed):
        with pytest.raises(WireError):
            ContactPool().from_compact_list(packed, COMPACT_V4_BYTES)

    def test_bad_contacts(self):
        with pytest.raises(ValueError, match="not an IP address"):
            ContactPool().intern("nowhere", 1, ID)
        with pytest.raises(WireError):
            ContactPool().from_compact(b"nothing")

    def test_is_bounded_and_keeps_what_is_in_use(self):
        pool = ContactPool(limit=10)
        dear = pool.from_compact(make_contact(0).compact)
        for number in range(1, 1000):
            contact = make_contact(number)
            assert pool.from_compact(contact.compact) == contact
            assert pool.from_compact(dear.compact) is dear
            assert len(pool) <= 20


class TestEndpoints:
    @given(contacts)
    def test_there_and_back(self, contact):
        assert parse_endpoint(format_endpoint(contact.endpoint)) == contact.endpoint

    def test_names_are_left_alone(self):
        assert parse_endpoint(" node-1.example.org:8001\n") == ("node-1.example.org", 8001)
        assert parse_endpoint("[::1]:8001") == ("::1", 8001)
        assert format_endpoint(("::1", 8001)) == "[::1]:8001"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "8001",
            ":8001",
            "host",
            "host:",
            "host:port",
            "host:-1",
            "host:+1",
            "host:1_0",
            "host:\u0663",
            "host:0",
            "host:65536",
            "host:0000080010",  # its first nine digits are a port
            "host:" + "9" * 5000,
            "::1:8001",
            "::1",
        ],
    )
    def test_invalid_endpoint_is_refused(self, text):
        with pytest.raises(ValueError, match=r"PORT|a port is") as caught:
            parse_endpoint(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200

    @given(st.text(max_size=30))
    def test_any_text_parses_or_is_a_value_error(self, text):
        try:
            host, port = parse_endpoint(text)
        except ValueError:
            return
        assert host
        assert 0 < port < 65536


@given(ids)
def test_number_is_the_id_for_distances(node_id):
    assert Contact("1.2.3.4", 1, node_id).id_int == int(node_id.hex(), 16)
