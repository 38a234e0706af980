"""What a holder has of a key: a digest, and its values with their owners."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from kademlua.core.contact import Contact

DIGEST_BYTES: Final = 8
Identity = Contact | bytes


class HeldValue:
    """An owner's value at a holder."""

    __slots__ = ("encoded", "expires_at", "owner", "seq")

    def __init__(self, owner: Contact | None, seq: int, encoded: bytes, expires_at: float) -> None:
        self.owner = owner
        """Who stored the value; None if the holder does not tell, as in version 1.0."""
        self.seq = seq
        """The owner's sequence number; 0 if the owner sent none."""
        self.encoded = encoded
        """The value, bencoded."""
        self.expires_at = expires_at
        """By the clock of the node that has this object; infinite if the holder does not tell."""

    @property
    def identity(self) -> Identity:
        """What other versions of this value share: its owner, or the value if that is unknown."""
        return self.encoded if self.owner is None else self.owner


def digest(values: Iterable[HeldValue]) -> bytes:
    """Return 8 bytes that depend on owners, sequence numbers and values, in any order.

    Each value contributes BLAKE2b of 8 bytes over its owner as a compact contact, its sequence
    number as 8 bytes in network byte order, and the bencoded value; these are XORed.
    """
    combined = 0
    for each in values:
        compact = b"" if each.owner is None else each.owner.compact
        material = compact + each.seq.to_bytes(8) + each.encoded
        combined ^= int.from_bytes(blake2b(material, digest_size=DIGEST_BYTES).digest())
    return combined.to_bytes(DIGEST_BYTES)
