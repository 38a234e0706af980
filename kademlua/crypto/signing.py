"""Signatures: the only module that imports ``cryptography``, and that when it is used.

Without the library (the extra ``crypto``) everything else works; here CryptoMissing is raised.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from kademlua.core.errors import CryptoUnavailable
from kademlua.crypto import key_files

SECRET_BYTES = 32


class Signer(Protocol):
    """Whoever can sign: a SigningKey, or something that keeps its secret elsewhere."""

    @property
    def public_key(self) -> bytes:
        """32 bytes of ed25519."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""


class SigningKey:
    """An ed25519 key (RFC 8032) that signs records."""

    def __init__(self, secret: bytes) -> None:
        """``secret`` is the private key, 32 bytes. TypeError and ValueError for what is none,
        CryptoMissing without the extra."""
        if not isinstance(secret, bytes):
            raise TypeError(f"a signing key is {SECRET_BYTES} bytes, not {type(secret).__name__}")
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a signing key has {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(secret)
        self._public_key: bytes = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey of {self.public_key.hex()}"  # never the secret

    @classmethod
    def generate(cls) -> SigningKey:
        """A new one, from the system's cryptographic source."""
        return cls(os.urandom(SECRET_BYTES))

    @classmethod
    def load(cls, path: str | Path) -> SigningKey:
        """Of a file that ``save`` or ``kademlua keygen`` wrote; KeyFileError where it can't be
        read, is none, or others can use it."""
        return cls(key_files.read_signing_key(path))

    def save(self, path: str | Path) -> None:
        """Into a new file that nobody else can read; KeyFileError where there is one already,
        or it can't be written."""
        key_files.write_signing_key(path, self._secret)

    @property
    def public_key(self) -> bytes:
        """32 bytes, for everybody to know."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        signature: bytes = self._key.sign(message)
        return signature


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is that of a message; CryptoMissing without the extra."""
    ed25519 = _ed25519()
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (ValueError, _invalid_signature()):  # ValueError: no point of the curve
        return False
    return True


def require_crypto() -> None:
    """CryptoMissing, with what to do about it, where signatures can't be made or verified."""
    _ed25519()


def _ed25519() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError:
        raise CryptoUnavailable from None


def _invalid_signature() -> type[Exception]:
    error_class: type[Exception] = import_module("cryptography.exceptions").InvalidSignature
    return error_class
