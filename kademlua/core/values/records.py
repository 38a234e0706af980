"""Records that prove themselves: whoever has one can tell that it belongs to its key.

*Immutable*: the key is the SHA-1 of the bencoded value; it is stored as that value. *Signed*: the
key is the SHA-1 of an ed25519 public key and a salt; it is stored as a dictionary of ``k``,
``salt``, ``seq``, ``exp``, ``sig`` and ``v``. Both are what BEP 44 defines, but for ``exp``, an end
that the signature covers. How they travel stands in ``docs/protocol.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kademlua.core.errors import RecordForged
from kademlua.core.ids import sha1
from kademlua.core.wire import bencoding

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_SALT_BYTES = 64
MAX_INT64 = (1 << 63) - 1
"""The highest sequence number, and the latest end: what BEP 44 takes for 64 bits."""
_REQUIRED_FIELDS = frozenset((b"k", b"seq", b"sig", b"v"))
_ALLOWED_FIELDS = _REQUIRED_FIELDS | {b"salt", b"exp"}
_sha1 = hashlib.sha1
_VALUE_DEPTH = 4
"""A record's value stands so deep in an answer to findvalue."""

VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""Whether, under a public key, a signature is that of a message; CryptoMissing where that can't
be told."""


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A signed record, be it genuine or not."""

    public_key: bytes
    """32 bytes."""
    salt: bytes
    """Tells the records of one public key apart; may be empty."""
    seq: int
    """Of two records of a key, the one with the higher number counts."""
    expires_at: int | None
    """The end that the signer set, in seconds since 1970; None where there is none."""
    signature: bytes
    encoded_value: bytes
    """The value, bencoded."""

    @property
    def key(self) -> bytes:
        """Where it is stored."""
        return signed_key(self.public_key, self.salt)

    @property
    def value(self) -> Any:
        """The value, decoded."""
        return bencoding.decode(self.encoded_value)

    @property
    def encoded(self) -> bytes:
        """The dictionary as which it is stored, bencoded."""
        expiry_field = b"" if self.expires_at is None else b"3:expi%de" % self.expires_at
        salt_field = b"4:salt%d:%b" % (len(self.salt), self.salt) if self.salt else b""
        return b"d%b1:k32:%b%b3:seqi%de3:sig64:%b1:v%be" % (
            expiry_field,
            self.public_key,
            salt_field,
            self.seq,
            self.signature,
            self.encoded_value,
        )

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is of."""
        return signed_bytes(self.salt, self.seq, self.expires_at, self.encoded_value)


def immutable_key(encoded: bytes) -> bytes:
    """The key of an immutable record, given its value bencoded."""
    return sha1(encoded)


def signed_key(public_key: bytes, salt: bytes) -> bytes:
    """The key of the signed records of a public key and a salt."""
    return sha1(public_key + salt)


def signed_bytes(salt: bytes, seq: int, expires_at: int | None, encoded_value: bytes) -> bytes:
    """What is signed: the entries exp, salt, seq and v as they stand in a dictionary, without
    those that are not there. Without ``exp`` these are BEP 44's bytes."""
    expiry_field = b"" if expires_at is None else b"3:expi%de" % expires_at
    salt_field = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
    return b"%b%b3:seqi%de1:v%b" % (expiry_field, salt_field, seq, encoded_value)


def encode_value(value: Any) -> bytes:
    """A signed record's value bencoded; TypeError for what has no form, or over 60 levels."""
    return bencoding.encode(value, outer_depth=_VALUE_DEPTH)


def check_fields(salt: bytes, seq: int, expires_at: int | None) -> None:
    """RecordForged where no honest signer writes this."""
    if len(salt) > MAX_SALT_BYTES:
        raise RecordForged(f"salt over {MAX_SALT_BYTES} bytes")
    if not 0 <= seq <= MAX_INT64:
        raise RecordForged("sequence number out of range")
    if expires_at is not None and not 0 <= expires_at <= MAX_INT64:
        raise RecordForged("expiry out of range")


def parse_signed(encoded: bytes) -> SignedRecord | None:
    """The signed record that a bencoded value is, keys sorted; None where it has not the form."""
    # Its first key is either exp or k; most other values need not be decoded for this.
    if not encoded.startswith((b"d1:k32:", b"d3:expi")):
        return None
    fields = bencoding.decode(encoded)
    if not _REQUIRED_FIELDS <= fields.keys() <= _ALLOWED_FIELDS:
        return None
    public_key, signature, seq = fields[b"k"], fields[b"sig"], fields[b"seq"]
    salt, expires_at = fields.get(b"salt"), fields.get(b"exp")
    if (
        type(public_key) is not bytes
        or len(public_key) != PUBLIC_KEY_BYTES
        or type(signature) is not bytes
        or len(signature) != SIGNATURE_BYTES
        or type(seq) is not int
        or (salt is not None and (type(salt) is not bytes or not salt))
        or (expires_at is not None and type(expires_at) is not int)
    ):
        return None
    value = bencoding.encode(fields[b"v"])
    return SignedRecord(public_key, salt or b"", seq, expires_at, signature, value)


def check_key(record: SignedRecord, key: bytes) -> None:
    """RecordForged where a record can't be one of this key, whoever signed it."""
    check_fields(record.salt, record.seq, record.expires_at)
    if record.key != key:
        raise RecordForged("record of another key")


def check_signature(record: SignedRecord, verify: VerifySignature) -> None:
    """RecordForged where the signature is not that of the public key's owner."""
    if not verify(record.public_key, record.signature, record.signed_bytes):
        raise RecordForged


def is_immutable(key: bytes, encoded: bytes) -> bool:
    """Whether a value is the immutable record of a key."""
    return _sha1(encoded, usedforsecurity=False).digest() == key


def is_record(key: bytes, encoded: bytes) -> bool:
    """Whether a value that was checked before is a record of the key, not a plain value."""
    return is_immutable(key, encoded) or parse_signed(encoded) is not None
