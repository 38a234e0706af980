"""XAES-256-GCM: AES-256-GCM with nonces of 24 bytes, which may be random (C2SP).

The first half of a nonce selects a key of AES-256-GCM (NIST SP 800-108r1, KDF in counter mode with
CMAC), the second half is the nonce under that key. https://c2sp.org/XAES-256-GCM
"""

from __future__ import annotations

import os
from typing import Any, Final

from kademlua.crypto.library import exceptions, primitives

KEY_BYTES: Final = 32
PREFIX_BYTES: Final = 12
"""The first half of a nonce."""
NONCE_BYTES: Final = 24
TAG_BYTES: Final = 16

_BLOCKS: Final = (b"\x00\x01X\x00", b"\x00\x02X\x00")
"""Counter, label and separator of the two blocks that make the key of a prefix."""
_REDUCTION: Final = 0x87
"""x^128 modulo the polynomial of CMAC's field (NIST SP 800-38B)."""


class XaesKey:
    """A key, which returns the AES-256-GCM cipher of each prefix."""

    __slots__ = ("_encrypt_blocks", "_invalid_tag", "_new_aead", "_subkey")

    def __init__(self, key: bytes) -> None:
        """Prepare a key of 32 bytes; CryptoUnavailable without ``cryptography``."""
        ciphers = primitives("ciphers")
        cipher = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.ECB())
        self._encrypt_blocks = cipher.encryptor().update
        doubled = int.from_bytes(self._encrypt_blocks(bytes(16))) << 1
        if doubled >> 128:
            doubled ^= 1 << 128 | _REDUCTION
        self._subkey = doubled << 128 | doubled  # for both blocks
        self._new_aead = primitives("ciphers.aead").AESGCM
        self._invalid_tag: type[Exception] = exceptions().InvalidTag

    def cipher_for(self, prefix: bytes) -> Any:
        """Return the ``AESGCM`` for the nonces that begin with these 12 bytes."""
        blocks = int.from_bytes(_BLOCKS[0] + prefix + _BLOCKS[1] + prefix) ^ self._subkey
        return self._new_aead(self._encrypt_blocks(blocks.to_bytes(32)))

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypt data with a random nonce, so that it can be opened only in the same context."""
        nonce = os.urandom(NONCE_BYTES)
        aead = self.cipher_for(nonce[:PREFIX_BYTES])
        sealed: bytes = aead.encrypt(nonce[PREFIX_BYTES:], data, context)
        return nonce + sealed

    def open(self, sealed: bytes, context: bytes) -> bytes | None:
        """Return what ``seal`` encrypted in this context; None for any other bytes."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            return None
        aead = self.cipher_for(sealed[:PREFIX_BYTES])
        nonce, ciphertext = sealed[PREFIX_BYTES:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            data: bytes = aead.decrypt(nonce, ciphertext, context)
        except self._invalid_tag:
            return None
        return data
