"""A secret that readers and writers of values share: it hides keys and values from their holders.

``docs/security.md`` names the constructions and says what they do not hide.
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from pathlib import Path
from typing import Any, Final

from kademlua.core.ids import ID_BYTES
from kademlua.crypto import key_files
from kademlua.crypto.key_derivation import Purpose, derive_key
from kademlua.crypto.library import exceptions, primitives
from kademlua.crypto.padding import max_unpadded_size, pad, padded_size, unpad
from kademlua.crypto.xaes import NONCE_BYTES, PREFIX_BYTES, TAG_BYTES, XaesKey

SECRET_BYTES: Final = 32
MIN_PASSPHRASE_CHARACTERS: Final = 12
SEALING_OVERHEAD_BYTES: Final = NONCE_BYTES + 1 + TAG_BYTES
"""How much longer a sealed value is, without padding."""
_SCRYPT_SALT: Final = b"kademlua 1.1 secret"


class Secret:
    """A secret of 32 random bytes, or one made from a passphrase."""

    __slots__ = ("_index_key", "_invalid_tag", "_secret", "_value_key")

    def __init__(self, secret: bytes) -> None:
        """Use a secret of 32 bytes, which must not be guessable.

        Raises:
            TypeError, ValueError: The secret is invalid.
            CryptoUnavailable: ``cryptography`` is not installed.
        """
        if not isinstance(secret, bytes):
            raise TypeError(f"a secret is {SECRET_BYTES} bytes, not {type(secret).__name__}")
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._index_key = derive_key(secret, Purpose.SECRET_KEYS)
        self._value_key = XaesKey(derive_key(secret, Purpose.SECRET_VALUES))
        self._invalid_tag: type[Exception] = exceptions().InvalidTag

    def __repr__(self) -> str:
        return f"Secret {self.fingerprint}"  # never the secret

    @classmethod
    def generate(cls) -> Secret:
        """Return a new secret from the system's cryptographic source."""
        return cls(os.urandom(SECRET_BYTES))

    @classmethod
    def from_passphrase(cls, passphrase: str) -> Secret:
        """Return the secret that everyone with this passphrase gets.

        It blocks the thread for some tenths of a second and takes 128 MiB (scrypt, RFC 7914, with
        N = 2^17, r = 8, p = 1), so that guessing is expensive. A weak passphrase will be guessed.

        Raises:
            TypeError: The passphrase is no text.
            ValueError: The passphrase has fewer than 12 characters.
        """
        # Systems differ in how they encode accents.
        passphrase = unicodedata.normalize("NFC", passphrase)
        if len(passphrase) < MIN_PASSPHRASE_CHARACTERS:
            raise ValueError(f"a passphrase has at least {MIN_PASSPHRASE_CHARACTERS} characters")
        scrypt = primitives("kdf.scrypt")
        function = scrypt.Scrypt(salt=_SCRYPT_SALT, length=SECRET_BYTES, n=1 << 17, r=8, p=1)
        return cls(function.derive(passphrase.encode()))

    @classmethod
    def load(cls, path: str | Path) -> Secret:
        """Return the secret in a file that ``save`` or ``kademlua keygen --secret`` wrote.

        KeyFileError if the file cannot be read, holds none, or is accessible to other users.
        """
        return cls(key_files.read_secret(path))

    def save(self, path: str | Path) -> None:
        """Write the secret to a new file, readable only by its owner; KeyFileError if it fails."""
        key_files.write_secret(path, self._secret)

    @property
    def fingerprint(self) -> str:
        """16 hex digits by which people compare secrets, and which reveal nothing about them."""
        return derive_key(self._secret, Purpose.FINGERPRINT, 8).hex()

    def blind_key(self, key: bytes) -> bytes:
        """Return the key under which the values of ``key`` are stored: HMAC-SHA256, truncated."""
        return hmac.digest(self._index_key, key, "sha256")[:ID_BYTES]

    def seal(self, value: bytes, context: bytes) -> bytes:
        """Encrypt a value, padded, so that it can be opened only in the same context.

        The context of a value is its blinded key, so that a holder cannot move it elsewhere.
        """
        nonce = os.urandom(NONCE_BYTES)
        aead = self._value_key.cipher_for(nonce[:PREFIX_BYTES])
        sealed: bytes = aead.encrypt(nonce[PREFIX_BYTES:], pad(value), context)
        return nonce + sealed

    def open(self, sealed: Any, context: bytes) -> bytes | None:
        """Return the value that ``seal`` encrypted in this context; None for anything else."""
        if type(sealed) is not bytes or len(sealed) < SEALING_OVERHEAD_BYTES:
            return None
        aead = self._value_key.cipher_for(sealed[:PREFIX_BYTES])
        try:
            padded: bytes = aead.decrypt(
                sealed[PREFIX_BYTES:NONCE_BYTES], sealed[NONCE_BYTES:], context
            )
        except self._invalid_tag:
            return None
        return unpad(padded)


def sealed_bytes(size: int) -> int:
    """Return the size of the sealed form of a value of ``size`` bytes."""
    return NONCE_BYTES + padded_size(size) + TAG_BYTES


def max_value_bytes(limit: int) -> int:
    """Return the size of the largest value whose sealed form has at most ``limit`` bytes."""
    return max_unpadded_size(limit - NONCE_BYTES - TAG_BYTES)
