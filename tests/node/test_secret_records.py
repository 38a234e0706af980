"""Immutable and signed records that only holders of a secret can read."""

from __future__ import annotations

import pytest

from kademlua import RecordForged, RecordStale, Secret, SigningKey
from tests.support.world import World

SECRET, OTHER = Secret(b"s" * 32), Secret(b"o" * 32)
SIGNER = SigningKey(b"k" * 32)
SALT = b"where the treasure is"


def test_immutable_record_is_read_with_the_secret_only(world: World) -> None:
    writer, reader, *_ = world.network(10)
    result = writer.secret(SECRET).put_immutable([b"under", 1])
    assert reader.secret(SECRET).get_immutable(result.key) == [b"under", 1]
    assert b"under" not in reader.get_immutable(result.key)
    with pytest.raises(KeyError):
        reader.secret(OTHER).get_immutable(result.key)
    assert writer.secret(SECRET).put_immutable([b"under", 1]).key != result.key


def test_plain_record_is_none_with_a_secret(world: World) -> None:
    writer, reader, *_ = world.network(5)
    key = writer.put_immutable(b"plain").key
    with pytest.raises(KeyError):
        reader.secret(SECRET).get_immutable(key)


def test_signed_record_is_read_with_the_secret_only(world: World) -> None:
    writer, reader, *_ = world.network(10)
    ours = writer.secret(SECRET)
    ours.put_signed(b"under the oak", SIGNER, salt=SALT, seq=1)
    stored = ours.put_signed(b"under the elm", SIGNER, salt=SALT).signed_record
    assert stored is not None
    assert b"under" not in stored.encoded
    assert SALT not in stored.encoded
    found = reader.secret(SECRET).get_signed(SIGNER.public_key, SALT)
    assert found is not None
    assert (found.value, found.seq) == (b"under the elm", 2)
    assert reader.secret(OTHER).get_signed(SIGNER.public_key, SALT) is None
    assert reader.secret(SECRET).get_signed(SIGNER.public_key) is None
    assert reader.get_signed(SIGNER.public_key, SALT) is None
    with pytest.raises(RecordStale):
        ours.put_signed(b"late", SIGNER, salt=SALT, seq=1)


def test_record_that_the_signer_made_without_the_secret_is_refused(world: World) -> None:
    """The signer has seen the salt that the secret makes, and a sealed value."""
    writer, reader, *_ = world.network(5)
    stored = writer.secret(SECRET).put_signed(b"v", SIGNER, salt=SALT, seq=1).signed_record
    elsewhere = writer.secret(SECRET).put_signed(b"v", SIGNER, seq=1).signed_record
    assert stored is not None
    assert elsewhere is not None
    for seq, value in ((2, b"plain"), (3, elsewhere.value)):
        writer.put_signed(value, SIGNER, salt=stored.salt, seq=seq)
        with pytest.raises(RecordForged, match="not made with the secret"):
            reader.secret(SECRET).get_signed(SIGNER.public_key, SALT)


def test_too_large_a_value_states_the_limit(world: World) -> None:
    node = world.network(2)[0].secret(SECRET)
    with pytest.raises(ValueError, match="a secret value has at most"):
        node.put_immutable(b"x" * 14_990)
    with pytest.raises(ValueError, match="value has at most"):
        node.put_signed(b"x" * 14_800, SIGNER)
