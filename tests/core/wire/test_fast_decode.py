"""Fast decoders agree with the full decoder or decline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.errors import WireError
from kademlua.core.wire import bencoding, fast_decode, packets
from kademlua.core.wire import requests as core_requests

KEY = bytes(range(20))


def by_the_judge(payload: bytes) -> tuple[object, ...] | None:
    """What the general decoder says of a request's payload."""
    try:
        body = bencoding.decode(payload)
    except WireError:
        return None
    assert type(body) is dict
    return body[b"name"], body[b"args"], body.get(b"v", 0), body.get(b"ro", 0) == 1


def by_shortcut(payload: bytes) -> tuple[object, ...] | None:
    known = fast_decode.decode_request(payload)
    if known is None:
        return None
    shape, args = known
    return shape.name, args, shape.version, shape.read_only


def requests() -> list[bytes]:
    """The usual requests of 1.0 and 1.1."""
    found = []
    for name, args in [
        (b"ping", b""),
        (b"getsocket", b""),
        (b"findnode", core_requests.encode_key_args(KEY)),
        (b"findvalue", core_requests.encode_key_args(KEY)),
        (b"findvalue", core_requests.encode_findvalue_args(KEY, 4096)),
    ]:
        found.append(b"d4:name%d:%b4:argsl%bee" % (len(name), name, args))
        found += [
            packets.encode_request_payload(name, args, read_only=read_only)
            for read_only in (False, True)
        ]
    for value in (b"", b"v", b"x" * 100, b"7:nothing"):
        args = core_requests.encode_store_args(
            core_requests.StoreArguments(KEY, bencoding.encode(value), 86_400)
        )
        found.append(packets.encode_request_payload(b"store", args, read_only=False))
        for token in (b"t" * 8, b"i1e8:abc", b"eeeeeeee"):
            args = core_requests.encode_store_args(
                core_requests.StoreArguments(KEY, bencoding.encode(value), 60, token=token)
            )
            found.append(packets.encode_request_payload(b"store", args, read_only=False))
        for closest, seq in ((0, 7), (8, 7), (20, 1_900_000_000_000_000)):
            args = core_requests.encode_store_args(
                core_requests.StoreArguments(
                    KEY, bencoding.encode(value), 60, seq=seq, closest=closest
                )
            )
            found.append(packets.encode_request_payload(b"store", args, read_only=False))
        found.append(b"d4:name5:store4:argsl20:%b%bee" % (KEY, bencoding.encode(value)))
    return found


@pytest.mark.parametrize("payload", requests())
def test_usual_requests_use_the_fast_decoder(payload):
    assert by_shortcut(payload) == by_the_judge(payload) is not None


@given(st.sampled_from(requests()), st.data())
def test_changed_request_is_read_the_same_or_left_to_the_full_decoder(payload, data):
    at = data.draw(st.integers(0, len(payload)))
    other = data.draw(st.binary(max_size=3))
    changed = payload[:at] + other + payload[at + data.draw(st.integers(0, 3)) :]
    read = by_shortcut(changed)
    if read is not None:
        assert read == by_the_judge(changed)


@given(st.binary(min_size=20, max_size=20))
def test_any_key_is_read_the_same(key):
    for payload in requests():
        changed = payload.replace(KEY, key)
        assert by_shortcut(changed) == by_the_judge(changed)


@given(
    st.one_of(
        st.just([5]),
        st.just([1]),
        st.binary(max_size=600).map(lambda packed: [{b"closest": packed}]),
        st.binary(max_size=600).map(lambda packed: [1, {b"closest": packed}]),
        st.binary(max_size=60).map(lambda packed: [{b"closest": packed, b"retval": [7]}]),
        st.binary(max_size=60).map(lambda packed: [{b"closest": packed, b"token": b"t" * 8}]),
        st.builds(
            lambda packed, found, token: [{b"closest": packed, b"retval": found} | token],
            st.binary(max_size=60),
            st.lists(st.binary(max_size=30), max_size=15),
            st.sampled_from([{}, {b"token": b"t" * 8}]),
        ),
        st.just([[[b"127.0.0.1", 1, KEY]]]),
    ),
    st.data(),
)
def test_values_are_read_the_same_or_left_to_the_full_decoder(values, data):
    payload = bencoding.encode(values)
    if values in ([5], [1]) or (isinstance(values[0], dict) and len(values[0]) == 1):
        assert fast_decode.decode_values(payload) == values
    if isinstance(values[0], dict) and (b"token" in values[0] or b"retval" in values[0]):
        is_short = values[0].get(b"retval") != [7]
        assert fast_decode.decode_values(payload) == (values if is_short else None)
    at = data.draw(st.integers(0, min(len(payload), 20)) | st.integers(0, len(payload)))
    other = data.draw(st.binary(max_size=3))
    changed = payload[:at] + other + payload[at + data.draw(st.integers(0, 3)) :]
    read = fast_decode.decode_values(changed)
    if read is not None:
        assert read == bencoding.decode(changed)


@pytest.mark.parametrize("value", [b"i7e", b"le", b"1:", b"01:v", b"2:v", b"0:v", b"-1:v"])
def test_store_of_other_than_one_string_is_left_to_the_full_decoder(value):
    payload = packets.encode_request_payload(
        b"store", b"20:%b%bi0e0:i60e" % (KEY, value), read_only=False
    )
    assert fast_decode.decode_request(payload) is None


@pytest.mark.parametrize("ttl", [b"", b"-1", b"01", b"1_0", b"9" * 13, b"1ei2", b"6e0:i6"])
def test_store_of_unusual_ttl_is_left_to_the_full_decoder(ttl):
    payload = packets.encode_request_payload(
        b"store", b"20:%b1:vi0e0:i%be" % (KEY, ttl), read_only=False
    )
    assert fast_decode.decode_request(payload) is None


@pytest.mark.parametrize("payload", [b"ld7:closest:ee", b"ld7:closest", b"ld7:closest03:abcee"])
def test_malformed_values_are_left_to_the_full_decoder(payload):
    assert fast_decode.decode_values(payload) is None
