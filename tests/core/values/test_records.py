"""Signed and immutable records: encoding, and the test vectors of BEP 44."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.errors import RecordForged
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord
from kademlua.core.wire import bencoding
from kademlua.crypto.signing import verify
from tests.core import strategies

# The test vectors of BEP 44: "mutable", "mutable with salt" and "immutable".
PUBLIC_KEY = bytes.fromhex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
HELLO = b"12:Hello World!"
SIGNATURE = bytes.fromhex(
    "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff"
    "1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"
)
SALTED_SIGNATURE = bytes.fromhex(
    "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d"
    "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"
)
PLAIN = SignedRecord(PUBLIC_KEY, b"", 1, None, SIGNATURE, HELLO)
SALTED = SignedRecord(PUBLIC_KEY, b"foobar", 1, None, SALTED_SIGNATURE, HELLO)

numbers = st.integers(0, records.MAX_INT64)
signed_records = st.builds(
    SignedRecord,
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=64),
    numbers,
    st.none() | numbers,
    st.binary(min_size=64, max_size=64),
    strategies.values.map(records.encode_value),
)


@pytest.mark.parametrize(
    ("record", "key", "signed"),
    [
        (PLAIN, "4a533d47ec9c7d95b1ad75f576cffc641853b750", b"3:seqi1e1:v12:Hello World!"),
        (
            SALTED,
            "411eba73b6f087ca51a3795d9c8c938d365e32c1",
            b"4:salt6:foobar3:seqi1e1:v12:Hello World!",
        ),
    ],
    ids=["mutable", "mutable with salt"],
)
def test_vectors_of_signed_records(record: SignedRecord, key: str, signed: bytes) -> None:
    assert record.key.hex() == key
    assert record.signed_bytes == signed
    records.check_key(record, bytes.fromhex(key))
    records.check_signature(record, verify)


def test_vector_of_an_immutable_record() -> None:
    key = bytes.fromhex("e5f96f6f38320f0f33959cb4d3d656452117aadb")
    assert records.immutable_key(HELLO) == key
    assert records.is_record(key, HELLO)
    assert not records.is_record(key, b"12:Hello World?")


@pytest.mark.parametrize(
    "changed",
    [
        SignedRecord(PUBLIC_KEY, b"", 2, None, SIGNATURE, HELLO),
        SignedRecord(PUBLIC_KEY, b"", 1, 2_000_000_000, SIGNATURE, HELLO),
        SignedRecord(PUBLIC_KEY, b"foobar", 1, None, SIGNATURE, HELLO),
        SignedRecord(PUBLIC_KEY, b"", 1, None, SIGNATURE, b"12:Hello World?"),
        SignedRecord(PUBLIC_KEY, b"", 1, None, SALTED_SIGNATURE, HELLO),
        SignedRecord(bytes(32), b"", 1, None, SIGNATURE, HELLO),
        SignedRecord(b"\xff" * 32, b"", 1, None, SIGNATURE, HELLO),
    ],
)
def test_changed_record_is_forged(changed: SignedRecord) -> None:
    with pytest.raises(RecordForged, match="forged record"):
        records.check_signature(changed, verify)


def test_an_end_is_signed_in_its_place() -> None:
    """Before the others, as the keys of a bencoded dictionary are sorted."""
    signed = records.signed_bytes(b"foobar", 7, 1_900_000_000, b"i5e")
    assert signed == b"3:expi1900000000e4:salt6:foobar3:seqi7e1:vi5e"


@given(signed_records)
def test_signature_covers_the_dictionary_of_these_entries(record: SignedRecord) -> None:
    """So no two records have the same bytes to be signed."""
    entries = {b"salt": record.salt or None, b"seq": record.seq, b"exp": record.expires_at}
    fields = {key: value for key, value in entries.items() if value is not None}
    fields[b"v"] = record.value
    assert b"d%be" % record.signed_bytes == bencoding.encode(fields)


@given(signed_records)
def test_a_record_is_read_as_it_was_written(record: SignedRecord) -> None:
    assert records.parse_signed(record.encoded) == record
    assert bencoding.encode(bencoding.decode(record.encoded)) == record.encoded
    assert records.is_record(record.key, record.encoded)
    records.check_key(record, record.key)


@given(strategies.values)
def test_another_value_is_no_record(value: object) -> None:
    assert records.parse_signed(bencoding.encode(value)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {b"more": 1},
        {b"salt": b""},
        {b"salt": 5},
        {b"k": bytes(31)},
        {b"k": 5},
        {b"sig": bytes(65)},
        {b"sig": 5},
        {b"seq": b"1"},
        {b"exp": b"1"},
        {b"v": None},
    ],
)
def test_near_record_is_a_plain_value(change: dict[bytes, object]) -> None:
    fields = bencoding.decode(PLAIN.encoded) | change
    fields = {key: value for key, value in fields.items() if value is not None}
    assert records.parse_signed(bencoding.encode(fields)) is None


@pytest.mark.parametrize(
    ("salt", "seq", "expires", "why"),
    [
        (bytes(65), 1, None, "salt over 64 bytes"),
        (b"", -1, None, "sequence number out of range"),
        (b"", 1 << 63, None, "sequence number out of range"),
        (b"", 1, -1, "expiry out of range"),
        (b"", 1, 1 << 63, "expiry out of range"),
    ],
)
def test_unknown_fields_make_no_record(
    salt: bytes, seq: int, expires: int | None, why: str
) -> None:
    record = SignedRecord(PUBLIC_KEY, salt, seq, expires, SIGNATURE, HELLO)
    with pytest.raises(RecordForged, match=why):
        records.check_key(record, record.key)


def test_a_record_of_another_key() -> None:
    with pytest.raises(RecordForged, match="record of another key"):
        records.check_key(PLAIN, SALTED.key)
