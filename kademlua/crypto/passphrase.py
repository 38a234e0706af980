"""Encryption of keys with a passphrase: scrypt (RFC 7914), then XAES-256-GCM."""

from __future__ import annotations

import os
import unicodedata
from typing import Final

from kademlua.crypto.library import primitives
from kademlua.crypto.xaes import NONCE_BYTES, TAG_BYTES, XaesKey

MIN_PASSPHRASE_CHARACTERS: Final = 12
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
OVERHEAD_BYTES: Final = _SALT_BYTES + NONCE_BYTES + TAG_BYTES
"""How much longer encrypted data is."""


def require_passphrase(passphrase: str) -> None:
    """Check a passphrase that a user chose.

    Raises:
        ValueError: It has fewer than 12 characters.
    """
    # In the form in which it is used: systems differ in how they encode accents.
    if len(unicodedata.normalize("NFC", passphrase)) < MIN_PASSPHRASE_CHARACTERS:
        raise ValueError(f"a passphrase has at least {MIN_PASSPHRASE_CHARACTERS} characters")


def stretch(passphrase: str, salt: bytes) -> bytes:
    """Return the key of 32 bytes that a passphrase and a salt give.

    It blocks the thread for some tenths of a second and takes 128 MiB (N = 2^17, r = 8, p = 1), so
    that guessing is expensive.

    Raises:
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    scrypt = primitives("kdf.scrypt")
    function = scrypt.Scrypt(salt=salt, length=_KEY_BYTES, n=1 << 17, r=8, p=1)
    key: bytes = function.derive(unicodedata.normalize("NFC", passphrase).encode())
    return key


def encrypt(data: bytes, passphrase: str, context: bytes) -> bytes:
    """Return data that only the passphrase opens, in the same context: salt, nonce, ciphertext."""
    salt = os.urandom(_SALT_BYTES)
    return salt + XaesKey(stretch(passphrase, salt)).seal(data, context)


def decrypt(encrypted: bytes, passphrase: str, context: bytes) -> bytes | None:
    """Return what ``encrypt`` encrypted; None for a wrong passphrase, or for anything else."""
    salt, sealed = encrypted[:_SALT_BYTES], encrypted[_SALT_BYTES:]
    return XaesKey(stretch(passphrase, salt)).open(sealed, context)
