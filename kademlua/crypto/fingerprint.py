"""Fingerprints, by which people compare keys, in the form of OpenSSH."""

from __future__ import annotations

import base64
import hashlib

from kademlua.crypto.key_derivation import Purpose, derive_key


def public_fingerprint(public_key: bytes) -> str:
    """Return ``SHA256:`` and the hash of a public key in base64, 50 characters."""
    digest = hashlib.sha256(public_key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def secret_fingerprint(secret: bytes) -> str:
    """Return the fingerprint of a network key or a secret, which reveals nothing about it.

    It is that of a value which HKDF derives from the secret for this purpose alone.

    Raises:
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    return public_fingerprint(derive_key(secret, Purpose.FINGERPRINT))
