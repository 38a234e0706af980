"""Record filter: which of the found values may be returned."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import RecordExpired, RecordForged, RecordStale, SigningKey
from kademlua.core.values import records
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.values.records import SignedRecord
from kademlua.core.wire import bencoding
from kademlua.crypto.signing import verify
from tests.core import strategies

SIGNER = SigningKey(bytes(range(32)))
KEY = records.signed_key(SIGNER.public_key, b"")
NOW = 1_000


def signed(seq: int = 1, value: object = b"v", expires: int | None = None) -> SignedRecord:
    encoded = records.encode_value(value)
    signature = SIGNER.sign(records.signed_bytes(b"", seq, expires, encoded))
    return SignedRecord(SIGNER.public_key, b"", seq, expires, signature, encoded)


def forged(seq: int = 9, value: object = b"evil") -> SignedRecord:
    signature = random.Random(seq).randbytes(64)
    encoded = records.encode_value(value)
    return SignedRecord(SIGNER.public_key, b"", seq, None, signature, encoded)


def found(record: SignedRecord) -> object:
    """A record as it comes in an answer."""
    return bencoding.decode(record.encoded)


def make(check: Callable[[bytes, bytes, bytes], bool] = verify, **how: object) -> RecordFilter:
    return RecordFilter(KEY, verify=check, wall_clock=lambda: NOW, **how)  # type: ignore[arg-type]


@given(st.lists(strategies.values, max_size=5))
def test_plain_values_pass_where_there_is_no_record(values: list[object]) -> None:
    sieve = make()
    assert sieve.filter(values) == values
    assert not sieve.has_record
    assert not sieve.rejected
    assert all(sieve.is_current(each) for each in [values] if values)


@given(st.lists(strategies.values, max_size=5), st.randoms())
def test_a_record_is_shown_alone_wherever_it_stands(
    values: list[object], rng: random.Random
) -> None:
    value = found(signed())
    mixed = [*values, value, found(forged())]
    rng.shuffle(mixed)
    assert make().filter(mixed) == [value]


def test_an_immutable_record_is_shown_alone() -> None:
    value = [b"some", {b"list": 1}]
    encoded = bencoding.encode(value)
    sieve = RecordFilter(records.immutable_key(encoded), verify=verify, wall_clock=lambda: NOW)
    assert sieve.filter([b"junk", value, 5]) == [value]
    assert sieve.immutable == encoded
    assert not sieve.is_current([b"junk"])


def test_highest_seq_wins() -> None:
    sieve = make()
    assert sieve.filter([found(signed(2, b"old")), found(signed(3, b"new"))]) == [
        found(signed(3, b"new"))
    ]
    sieve.filter([found(signed(1, b"older"))])
    assert sieve.signed_record == signed(3, b"new")
    assert not sieve.is_current([found(signed(1, b"older"))])
    assert sieve.is_current([found(signed(3, b"new"))])


def test_records_of_equal_seq_are_ordered_the_same_everywhere() -> None:
    pair = [found(signed(1, b"a")), found(signed(1, b"b"))]
    assert make().filter(pair) == make().filter(pair[::-1])


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (forged(), RecordForged),
        (signed(expires=NOW), RecordExpired),
        (signed(4), RecordStale),
    ],
)
def test_rejected_record_is_never_returned(record: SignedRecord, error: type[Exception]) -> None:
    sieve = make(min_seq=5)
    assert sieve.filter([found(record), b"plain"]) == [b"plain"]
    assert type(sieve.rejection) is error
    assert sieve.rejected == {error.default_reason: 1}  # type: ignore[attr-defined]
    assert make(min_seq=5, only_records=True).filter([found(record), b"plain"]) == []


def test_expired_record_still_counts_by_its_seq() -> None:
    sieve = make()
    sieve.filter([found(signed(7, expires=NOW - 1)), found(forged(99))])
    assert (sieve.highest_seq, sieve.signed_record) == (7, None)


def test_each_is_verified_once() -> None:
    asked: list[bytes] = []

    def count(public_key: bytes, signature: bytes, message: bytes) -> bool:
        asked.append(message)
        return verify(public_key, signature, message)

    sieve = make(count)
    for _ in range(20):
        sieve.filter([found(forged()), found(signed())])
    assert len(asked) == 2
    assert sieve.rejected == {"forged record": 20}


def test_verification_work_per_reply_is_limited() -> None:
    asked: list[bytes] = []

    def count(public_key: bytes, signature: bytes, message: bytes) -> bool:
        asked.append(message)
        return False

    sieve = make(count)
    flood = [found(forged(seq, os.urandom(4))) for seq in range(400)]
    assert sieve.filter(flood) == []
    assert len(asked) == 8
