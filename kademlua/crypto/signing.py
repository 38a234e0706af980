"""Signatures and their keys. Without the extra ``crypto``, they raise CryptoUnavailable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from kademlua.crypto.fingerprint import public_fingerprint
from kademlua.crypto.key_files import KeyKind, read_key, write_key
from kademlua.crypto.library import exceptions, primitives

SECRET_BYTES = 32


class Signer(Protocol):
    """An object that signs: a SigningKey, or one that keeps its secret elsewhere."""

    @property
    def public_key(self) -> bytes:
        """The ed25519 public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""


class SigningKey:
    """An ed25519 key (RFC 8032) that signs records."""

    def __init__(self, secret: bytes) -> None:
        """Use a 32-byte private key.

        TypeError or ValueError for an invalid key, CryptoUnavailable without the extra.
        """
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
        """Return a new key from the system's cryptographic source."""
        return cls(os.urandom(SECRET_BYTES))

    @classmethod
    def load(cls, path: str | Path, passphrase: str | None = None) -> SigningKey:
        """Return the key in a file that ``save`` or ``kademlua keygen`` wrote.

        Raises:
            PassphraseRequired: The file is encrypted, and there is no ``passphrase``.
            KeyFileError: It cannot be read, holds no key, or is accessible to other users, or the
                passphrase is wrong.
        """
        return cls(read_key(path, KeyKind.SIGNING, passphrase))

    @property
    def secret(self) -> bytes:
        """The private key, 32 bytes."""
        return self._secret

    def save(self, path: str | Path, passphrase: str | None = None) -> None:
        """Write the key to a new file, readable only by its owner.

        Raises:
            ValueError: The ``passphrase``, which encrypts it, has fewer than 12 characters.
            KeyFileError: The file exists or cannot be written.
        """
        write_key(path, KeyKind.SIGNING, self._secret, passphrase)

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public_key

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` of the public key, by which people compare keys."""
        return public_fingerprint(self._public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        signature: bytes = self._key.sign(message)
        return signature


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is valid for a message; CryptoUnavailable without the extra."""
    ed25519 = _ed25519()
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (ValueError, exceptions().InvalidSignature):  # ValueError: no point of the curve
        return False
    return True


def require_crypto() -> None:
    """Raise CryptoUnavailable, with what to install, if signatures are not available."""
    _ed25519()


def _ed25519() -> Any:
    return primitives("asymmetric.ed25519")
