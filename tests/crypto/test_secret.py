"""Secrets: what holders learn, what is opened, and what is refused."""

from __future__ import annotations

import hmac
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import KeyFileError, SigningKey, sha1
from kademlua.crypto.secret import (
    SEALING_OVERHEAD_BYTES,
    SECRET_BYTES,
    Secret,
    max_value_bytes,
)
from tests.support import reference_aead

RAW = b"s" * SECRET_BYTES
SECRET, OTHER = Secret(RAW), Secret(b"o" * SECRET_BYTES)
KEY = sha1("key")


@given(value=st.binary(max_size=3_000))
def test_what_is_sealed_opens_in_its_context_only(value: bytes) -> None:
    sealed = SECRET.seal(value, KEY)
    assert SECRET.open(sealed, KEY) == value
    assert SECRET.open(sealed, sha1("elsewhere")) is None
    assert OTHER.open(sealed, KEY) is None


@given(value=st.binary(max_size=500), data=st.data())
def test_changed_value_is_not_opened(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SECRET.seal(value, KEY))
    at = data.draw(st.integers(0, len(sealed) - 1))
    assert SECRET.open(bytes(sealed[:at]), KEY) is None
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert SECRET.open(bytes(sealed), KEY) is None


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 41, 5, None, [b"x"], {b"k": b"v"}])
def test_what_was_never_sealed_is_not_opened(value: object) -> None:
    assert SECRET.open(value, KEY) is None


def test_blinded_key_is_the_truncated_hmac_of_a_derived_key() -> None:
    index_key = reference_aead.hkdf_sha256(RAW, b"kademlua 1.1 secret keys", 32)
    assert SECRET.blind_key(KEY) == hmac.digest(index_key, KEY, "sha256")[:20]
    assert SECRET.blind_key(KEY) != OTHER.blind_key(KEY)


@given(size=st.integers(0, 20_000))
def test_padding_hides_the_length_and_adds_at_most_an_eighth(size: int) -> None:
    length = len(SECRET.seal(bytes(size), KEY))
    assert length >= SEALING_OVERHEAD_BYTES - 1 + 64
    assert length <= SEALING_OVERHEAD_BYTES + max(64, size * 1.125 + 1)


def test_few_lengths_are_seen() -> None:
    lengths = {len(SECRET.seal(bytes(size), KEY)) for size in range(1_000)}
    assert len(lengths) <= 50


@given(limit=st.integers(0, 20_000))
def test_largest_value_fits_and_a_larger_one_does_not(limit: int) -> None:
    size = max_value_bytes(limit)
    if size:
        assert len(SECRET.seal(bytes(size), KEY)) <= limit
    assert len(SECRET.seal(bytes(size + 1), KEY)) > limit


def test_nonces_of_equal_values_differ() -> None:
    assert len({SECRET.seal(b"the same", KEY)[:24] for _ in range(1_000)}) == 1_000


def test_passphrase_gives_the_same_secret_everywhere() -> None:
    secret = Secret.from_passphrase("correct horse battery")
    assert secret.fingerprint == Secret.from_passphrase("correct horse battery").fingerprint
    assert secret.fingerprint != Secret.from_passphrase("correct horse batterY").fingerprint


def test_passphrase_is_the_same_however_its_accents_are_encoded() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    secrets = {Secret.from_passphrase(each).fingerprint for each in (composed, decomposed)}
    assert len(secrets) == 1


def test_short_passphrase_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12 characters"):
        Secret.from_passphrase("short")


@pytest.mark.parametrize("bad", [b"", b"s" * 31, b"s" * 33])
def test_secret_of_another_size_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Secret(bad)


def test_nothing_shows_the_secret() -> None:
    for shown in (repr(SECRET), str(SECRET), SECRET.fingerprint):
        assert RAW.hex() not in shown
        assert "ssss" not in shown


def test_file_round_trips_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    SECRET.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Secret.load(path).fingerprint == SECRET.fingerprint
    with pytest.raises(KeyFileError):
        SECRET.save(path)  # no key is overwritten
    with pytest.raises(KeyFileError, match="not the file of a signing key"):
        SigningKey.load(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError):
        Secret.load(path)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_not_opened(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        assert SECRET.open(rng.randbytes(rng.randrange(200)), KEY) is None
