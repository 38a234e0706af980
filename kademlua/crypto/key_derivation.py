"""Keys for one purpose each, derived from one secret by HKDF-SHA256 (RFC 5869)."""

from __future__ import annotations

from enum import Enum

from kademlua.crypto.library import primitives


class Purpose(Enum):
    """What a derived key is for; the value is the ``info`` of HKDF."""

    DATAGRAMS = b"kademlua 1.1 datagrams"
    DIRECTORY_NAME = b"kademlua 1.1 directory name"
    DISCOVERY_LABEL = b"kademlua 1.1 discovery label"
    SECRET_KEYS = b"kademlua 1.1 secret keys"
    SECRET_VALUES = b"kademlua 1.1 secret values"
    SECRET_OBJECTS = b"kademlua 1.1 secret objects"
    MAIL = b"kademlua 1.1 mail private key"
    FINGERPRINT = b"kademlua 1.1 fingerprint"


def derive_key(secret: bytes, purpose: Purpose, size: int = 32) -> bytes:
    """Return the key of a purpose, ``size`` bytes, from a uniformly random secret; no salt.

    Raises:
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    hashes, hkdf = primitives("hashes"), primitives("kdf.hkdf")
    key: bytes = hkdf.HKDF(hashes.SHA256(), size, salt=None, info=purpose.value).derive(secret)
    return key
