"""Packet layouts, byte by byte; arbitrary bytes parse or raise WireError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.errors import WireError
from kademlua.core.wire import bencoding, packets, requests
from kademlua.core.wire.packets import Request, Response
from tests.core.strategies import ids, values

ID = bytes(range(20))
RPC_ID = b"rpcid-12"
HEADER = b"\x01" + ID + RPC_ID

rpc_ids = st.binary(min_size=8, max_size=8)


def request_of(body: bytes) -> bytes:
    return HEADER + b"\x01" + len(body).to_bytes(2, "big") + body


def read_request(body: bytes) -> Request:
    packet = packets.decode(request_of(body))
    assert isinstance(packet, Request)
    return packet


# The bytes that go out.


def test_layout_of_a_request():
    assert packets.encode_request(ID, RPC_ID, b"de") == HEADER + b"\x01\x00\x02de"


def test_layout_of_a_response():
    assert packets.encode_response(ID, RPC_ID, b"li5ee") == HEADER + b"\x81\x00\x05li5ee"


@pytest.mark.parametrize(("code", "byte"), [(130, b"\x82"), (131, b"\x83")])
def test_layout_of_an_error_which_ends_behind_the_call_byte(code, byte):
    assert packets.encode_error(ID, RPC_ID, code) == HEADER + byte


def test_the_length_is_in_network_order():
    assert packets.encode_response(ID, RPC_ID, b"x" * 0x1234)[30:32] == b"\x12\x34"


def test_the_largest_payload_fits_a_udp_datagram():
    full = b"x" * (65_507 - 32)
    packet = packets.decode(packets.encode_response(ID, RPC_ID, full))
    assert isinstance(packet, Response)
    assert packet.payload == full
    for encode in (packets.encode_request, packets.encode_response):
        with pytest.raises(ValueError, match="65,475"):
            encode(ID, RPC_ID, full + b"x")


def test_a_call_says_what_it_speaks():
    assert (
        packets.encode_request_payload(b"ping", b"", read_only=False)
        == b"d4:argsle4:name4:ping1:vi1ee"
    )


def test_a_client_says_that_it_is_one():
    assert packets.encode_request_payload(b"ping", b"i7e", read_only=True) == (
        b"d4:argsli7ee4:name4:ping2:roi1e1:vi1ee"
    )


@given(st.binary(max_size=30), st.lists(values, max_size=3), st.booleans(), ids, rpc_ids)
def test_a_request_there_and_back(name, args, read_only, sender_id, rpc_id):
    encoded = b"".join(map(bencoding.encode, args))
    payload = packets.encode_request_payload(name, encoded, read_only=read_only)
    # Sorted keys, as bencoding wants them: written anew nothing changes.
    assert bencoding.encode(bencoding.decode(payload)) == payload
    packet = packets.decode(packets.encode_request(sender_id, rpc_id, payload))
    assert isinstance(packet, Request)
    assert (packet.sender_id, packet.rpc_id) == (sender_id, rpc_id)
    assert (packet.name, packet.args) == (name, args)
    assert (packet.version, packet.read_only) == (1, read_only)


@given(ids, rpc_ids, st.lists(values, max_size=4))
def test_a_response_there_and_back(sender_id, rpc_id, returned):
    payload = bencoding.encode(returned)
    packet = packets.decode(packets.encode_response(sender_id, rpc_id, payload))
    assert isinstance(packet, Response)
    assert (packet.sender_id, packet.rpc_id, packet.packet_type) == (sender_id, rpc_id, 129)
    assert packets.decode_values(packet.payload) == returned


@pytest.mark.parametrize("code", [130, 131])
@pytest.mark.parametrize("behind", [b"", b"\0", b"\0\x05li5ee", b"x" * 500])
def test_an_error_there_and_back_whatever_is_behind_it(code, behind):
    packet = packets.decode(packets.encode_error(ID, RPC_ID, code) + behind)
    assert isinstance(packet, Response)
    assert (packet.sender_id, packet.rpc_id) == (ID, RPC_ID)
    assert (packet.packet_type, packet.payload) == (code, b"")


# The bytes that come in.


@given(st.binary(max_size=120))
def test_any_bytes_parse_or_raise_a_wire_error(datagram):
    try:
        packet = packets.decode(datagram)
    except WireError:
        return
    assert isinstance(packet, Request | Response)


@given(st.binary(max_size=40) | values.map(bencoding.encode), st.sampled_from([1, 129, 130, 131]))
def test_any_payload_behind_a_good_header_parses_or_raises_a_wire_error(payload, call):
    datagram = HEADER + bytes([call]) + len(payload).to_bytes(2, "big") + payload
    with contextlib.suppress(WireError):
        packet = packets.decode(datagram)
        if isinstance(packet, Response) and packet.packet_type == 129:
            assert packet.payload == payload
            assert isinstance(packets.decode_values(packet.payload), list)


def test_bytes_behind_the_payload_are_ignored():
    for behind in (b"\0" * 40, b"e", b"i1e"):
        packet = packets.decode(request_of(b"d4:name4:ping4:argslee") + behind)
        assert isinstance(packet, Request)
        assert packet.args == []
        response = packets.decode(packets.encode_response(ID, RPC_ID, b"li5ee") + behind)
        assert isinstance(response, Response)
        assert response.payload == b"li5ee"


@pytest.mark.parametrize("length", range(32))
def test_a_cut_header_is_short(length):
    whole = request_of(b"d4:name4:ping4:argslee")
    with pytest.raises(WireError, match="short"):
        packets.decode(whole[:length])


@pytest.mark.parametrize("call", [1, 129])
def test_a_cut_payload(call):
    whole = HEADER + bytes([call]) + b"\x00\x16d4:name4:ping4:argslee"
    packets.decode(whole)
    for length in range(32, len(whole)):
        with pytest.raises(WireError, match="truncated"):
            packets.decode(whole[:length])


@pytest.mark.parametrize("version", [0, 2, 3, 255])
@pytest.mark.parametrize("rest", [b"\x01\x00\x02de", b"\x81\x00\x02le", b"\x82"])
def test_another_version_in_the_header(version, rest):
    with pytest.raises(WireError, match="unknown version"):
        packets.decode(bytes([version]) + HEADER[1:] + rest)


@pytest.mark.parametrize("call", sorted(set(range(256)) - {1, 129, 130, 131}))
def test_unknown_calls(call):
    for behind in (b"", b"\x00\x02le"):
        with pytest.raises(WireError, match="unknown packet type"):
            packets.decode(HEADER + bytes([call]) + behind)


@pytest.mark.parametrize(
    "body",
    [
        b"i1e",
        b"le",
        b"4:ping",
        b"de",
        b"d4:name4:pinge",
        b"d4:argslee",
        b"d4:namei1e4:argslee",
        b"d4:name4:ping4:args0:e",
        b"d4:namel4:pinge4:argslee",
    ],
)
def test_invalid_request_is_refused(body):
    with pytest.raises(WireError, match="bad request"):
        read_request(body)


@pytest.mark.parametrize("body", [b"", b"d", b"d4:name4:ping4:argsle", b"l" * 60_000])
def test_a_request_that_is_not_bencoded(body):
    with pytest.raises(WireError):
        read_request(body)


@pytest.mark.parametrize("payload", [b"", b"de", b"i5e", b"1:a", b"l", b"li5e", b"li5eee"])
def test_invalid_return_values_are_refused(payload):
    with pytest.raises(WireError):
        packets.decode_values(payload)


# 1.0 and 1.1.


def test_a_request_of_1_0():
    request = read_request(b"d4:name4:ping4:argslee")
    assert (request.name, request.args) == (b"ping", [])
    assert (request.version, request.read_only) == (0, False)


@given(st.dictionaries(st.binary(max_size=4), values, max_size=4))
def test_extra_keys_are_ignored(extra):
    own = {b"name": b"ping", b"args": [b"a", 1], b"v": 1, b"ro": 1}
    request = read_request(bencoding.encode(extra | own))
    assert (request.name, request.args) == (b"ping", [b"a", 1])
    assert (request.version, request.read_only) == (1, True)


@pytest.mark.parametrize(
    ("written", "version"),
    [
        (b"i0e", 0),
        (b"i1e", 1),
        (b"i2e", 2),
        (b"i1000e", 1000),
        (b"i-1e", 0),
        (b"1:1", 0),
        (b"le", 0),
        (b"de", 0),
    ],
)
def test_the_version_that_a_sender_speaks(written, version):
    assert read_request(b"d4:argsle4:name4:ping1:v%be" % written).version == version


@pytest.mark.parametrize(
    ("written", "read_only"),
    [(b"i0e", False), (b"i1e", True), (b"i2e", False), (b"1:1", False), (b"li1ee", False)],
)
def test_client_flag_of_the_sender_is_read(written, read_only):
    body = b"d4:argsle4:name4:ping2:ro%be" % written
    assert read_request(body).read_only is read_only


# Values that the original encodes badly: minus zero, numbers as keys, too many levels.

UNREADABLE = [b"i-0e", b"di1e1:ae", b"l" * 62 + b"e" * 62]


@pytest.mark.parametrize("bad", UNREADABLE)
def test_unreadable_value_in_a_reply_does_not_hide_the_others(bad):
    payload = b"ld6:retvall5:hello%bi42ee7:closestleee" % bad
    with pytest.raises(WireError):
        packets.decode_values(payload)
    assert packets.decode_findvalue_values(payload) == [{b"retval": [b"hello", 42], b"closest": []}]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"i-0e",
        b"le e",
        b"li-0ee",
        b"ldi1elee",
        b"ld6:retvali-0eee",
        b"ld7:closesti-0e6:retvall1:aeee",  # the contacts are needed
        b"ld6:retvall1:ai-0ee",  # cut
    ],
)
def test_reply_that_is_unreadable_elsewhere_is_refused(payload):
    with pytest.raises(WireError):
        packets.decode_findvalue_values(payload)


@pytest.mark.parametrize("bad", [*UNREADABLE, b"l" * 70 + b"e" * 70])
@pytest.mark.parametrize("overwrite", [b"", b"i0e", b"i1e"])
def test_store_of_an_unreadable_value_is_known_as_a_store(bad, overwrite):
    """So that it is refused and not dropped: the original would wait for a reply."""
    body = b"d4:name5:store4:argsl20:" + ID + bad + overwrite + b"ee"
    if bad == UNREADABLE[2]:  # readable in a request, though not in a reply
        assert read_request(body).args[0] == ID
        return
    request = read_request(body)
    assert (request.name, request.version) == (b"store", 0)
    assert request.args == [ID, None]


# The number of tokens.


def listed_contacts(count: int) -> bytes:
    return b"l%be" % (b"l14:198.51.100.123i65535e20:%be" % bytes(20) * count)


def test_longest_reply_of_the_original_is_read() -> None:
    values = [
        b"%03d, a value that contains the letters d, l, e and :".ljust(99) % n for n in range(600)
    ]
    retval = bencoding.encode(values)
    payload = b"ld6:retval%b7:closest%bee" % (retval, listed_contacts(20))
    assert 60_000 < len(payload) <= packets.MAX_PAYLOAD_BYTES
    [found] = packets.decode_findvalue_values(payload)
    assert found[b"retval"] == values
    assert len(found[b"closest"]) == 20


@pytest.mark.parametrize("decode", [packets.decode_values, packets.decode_findvalue_values])
def test_reply_with_too_many_tokens_is_refused(decode: Callable[[bytes], list[object]]) -> None:
    for item in (b"1:x", b"le", b"de", b"i-0e", b"d1:ale1:ali1eee"):
        with pytest.raises(WireError):
            decode(b"ld6:retvall%beee" % (item * 1_000))
        with pytest.raises(WireError):
            decode(b"l%be" % (item * 1_000))


def test_any_page_of_values_is_read() -> None:
    """Otherwise some values would hide the others of a key."""
    for item in (b"le", b"de", b"0:", b"i1e", b"d0:0:e", b"l" * 30 + b"e" * 30):
        count = 1_130 // len(item)
        payload = b"ld7:closest0:4:morei7e6:retvall%beee" % (item * count)
        [found] = packets.decode_findvalue_values(payload)
        assert found[b"retval"] == [bencoding.decode(item)] * count


def test_request_with_too_many_tokens_is_refused() -> None:
    for item in (b"1:x", b"le", b"de", b"i1e"):
        payload = b"d4:argsl%be4:name4:ping1:vi1ee" % (item * 601)
        with pytest.raises(WireError, match="too many tokens"):
            packets.decode(packets.encode_request(bytes(20), b"rpc-id-8", payload))


def test_store_of_a_value_with_the_most_tokens_is_read() -> None:
    value = [[b"x"] * (bencoding.MAX_VALUE_TOKENS - 4)]
    encoded = bencoding.encode(value)
    bencoding.check_tokens(encoded)
    proof = requests.OwnerProof(bytes(32), bytes(64))
    owner = Contact("2001:db8::1", 8001, bytes(20))
    arguments = requests.StoreArguments(
        bytes(20), encoded, 600, owner=owner, cas=1, token=bytes(64), seq=2**62, proof=proof
    )
    payload = packets.encode_request_payload(
        b"store", requests.encode_store_args(arguments), read_only=True
    )
    packet = packets.decode(packets.encode_request(bytes(20), b"rpc-id-8", payload))
    assert isinstance(packet, Request)
    assert packet.args[1] == value


def test_store_of_the_original_with_too_many_tokens_gets_an_answer() -> None:
    """Without one, the original would take this node for a dead one."""
    payload = b"d4:name5:store4:argsl20:%bl%beee" % (bytes(20), b"le" * 2_000)
    packet = packets.decode(packets.encode_request(bytes(20), b"rpc-id-8", payload))
    assert isinstance(packet, Request)
    assert packet.args == [bytes(20), None]
