"""SealedForm: the blocks of objects, encrypted so that equal blocks are equal records."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.objects.errors import MalformedObject
from kademlua.core.wire import bencoding
from kademlua.crypto.key_derivation import Purpose
from kademlua.crypto.library import exceptions, primitives
from kademlua.crypto.padding import pad, padded_size, unpad
from kademlua.crypto.sealed_values import decode_opened
from kademlua.crypto.secret import Secret

KEY_BYTES: Final = 64
TAG_BYTES: Final = 16
_PREFIX_BYTES: Final = len(b"12345:")
"""What bencoding adds to a sealed block, which has up to 5 digits of bytes."""


class SealedForm:
    """The form of objects with a secret: AES-SIV (RFC 5297) of what the plain form has, padded.

    It needs no nonce. So a writer that goes on with an object makes the same records again.
    """

    __slots__ = ("_aead", "_invalid_tag")

    def __init__(self, secret: Secret) -> None:
        """Derive the key; CryptoUnavailable if ``cryptography`` is not installed."""
        aead = primitives("ciphers.aead")
        self._aead = aead.AESSIV(secret.derive(Purpose.SECRET_OBJECTS, KEY_BYTES))
        self._invalid_tag: type[Exception] = exceptions().InvalidTag

    def encode(self, content: Any, block_bytes: int) -> bytes:
        """Return the record, padded like a full block unless it is a root."""
        is_block = isinstance(content, bytes)
        min_bytes = _bencoded_bytes(block_bytes) if is_block else 0
        padded = pad(bencoding.encode(content), min_bytes)
        return bencoding.encode(self._aead.encrypt(padded, None))

    def decode(self, value: Any) -> Any:
        """Return the block or root; MalformedObject without the secret that made it."""
        content = decode_opened(self._open(value))
        if content is None:
            raise MalformedObject("a record of the object was not made with this secret")
        return content

    def may_be_root(self, encoded: bytes) -> bool:
        """Return whether it is a byte string."""
        return encoded[:1].isdigit()

    def record_bytes(self, size: int) -> int:
        """Return the size of the record of a block or root of ``size`` bytes, at most."""
        return _PREFIX_BYTES + TAG_BYTES + padded_size(size)

    def _open(self, value: Any) -> bytes | None:
        if type(value) is not bytes or len(value) <= TAG_BYTES:
            return None
        try:
            padded: bytes = self._aead.decrypt(value, None)
        except self._invalid_tag:
            return None
        return unpad(padded)


def _bencoded_bytes(size: int) -> int:
    return len(str(size)) + 1 + size
