"""Fingerprints: equal for equal keys, and safe to show."""

from __future__ import annotations

import base64
import hashlib

import pytest

from kademlua import Secret, SigningKey
from kademlua.crypto.fingerprint import public_fingerprint, secret_fingerprint
from tests.support import reference_aead

KEY = bytes(range(32))


def openssh_form(data: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode()[:43]


def test_fingerprint_of_a_signing_key_is_the_hash_of_its_public_key() -> None:
    key = SigningKey(KEY)
    assert key.fingerprint == public_fingerprint(key.public_key) == openssh_form(key.public_key)


def test_fingerprint_of_a_secret_is_the_hash_of_a_value_derived_for_it() -> None:
    derived = reference_aead.hkdf_sha256(KEY, b"kademlua 1.1 fingerprint", 32)
    assert secret_fingerprint(KEY) == openssh_form(derived)
    assert Secret(KEY).fingerprint == secret_fingerprint(KEY)
    assert secret_fingerprint(KEY) != openssh_form(KEY)


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_fingerprints_of_other_keys_differ(bit: int) -> None:
    other = (int.from_bytes(KEY) ^ 1 << bit).to_bytes(32)
    assert secret_fingerprint(other) != secret_fingerprint(KEY)
    assert SigningKey(other).fingerprint != SigningKey(KEY).fingerprint
