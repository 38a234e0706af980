"""Records: values that prove that they belong to their key (BEP 44).

*Immutable*: the key is the SHA-1 of the bencoded value. *Signed*: the key is the SHA-1 of an
ed25519 public key and a salt; the value is a dictionary of ``k``, ``salt``, ``seq``, ``exp``,
``sig`` and ``v``. ``exp``, a signed expiry time, is an addition to BEP 44. See
``docs/protocol-records.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kademlua.core.errors import RecordForged
from kademlua.core.ids import sha1
from kademlua.core.wire import bencoding

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
MAX_SALT_BYTES: Final = 64
MAX_INT64: Final = (1 << 63) - 1
"""The highest sequence number and the latest expiry time."""
_REQUIRED_FIELDS: Final = frozenset((b"k", b"seq", b"sig", b"v"))
_ALLOWED_FIELDS: Final = _REQUIRED_FIELDS | {b"salt", b"exp"}
_VALUE_DEPTH: Final = 4
"""The nesting around a record's value in a findvalue reply."""

VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""Returns whether a signature is valid, from a public key, a signature and a message.

CryptoUnavailable if signatures cannot be verified.
"""


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A signed record, genuine or not."""

    public_key: bytes
    """The ed25519 public key, 32 bytes."""
    salt: bytes
    """Distinguishes the records of one public key; may be empty."""
    seq: int
    """The sequence number; the record with the highest one counts."""
    expires_at: int | None
    """The expiry time that the signer set, in seconds since 1970; None for none."""
    signature: bytes
    encoded_value: bytes
    """The value, bencoded."""

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return signed_key(self.public_key, self.salt)

    @property
    def value(self) -> Any:
        """The value, decoded."""
        return bencoding.decode(self.encoded_value)

    @property
    def encoded(self) -> bytes:
        """The dictionary that is stored, bencoded."""
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
        """The bytes that the signature covers."""
        return signed_bytes(self.salt, self.seq, self.expires_at, self.encoded_value)


def immutable_key(encoded: bytes) -> bytes:
    """Return the key of an immutable record from its bencoded value."""
    return sha1(encoded)


def signed_key(public_key: bytes, salt: bytes) -> bytes:
    """Return the key of the signed records of a public key and a salt."""
    return sha1(public_key + salt)


def signed_bytes(salt: bytes, seq: int, expires_at: int | None, encoded_value: bytes) -> bytes:
    """Return the bytes to sign: the entries exp, salt, seq and v, as in a dictionary.

    Missing entries are left out. Without ``exp`` these are the bytes of BEP 44.
    """
    expiry_field = b"" if expires_at is None else b"3:expi%de" % expires_at
    salt_field = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
    return b"%b%b3:seqi%de1:v%b" % (expiry_field, salt_field, seq, encoded_value)


def encode_value(value: Any) -> bytes:
    """Encode the value of a signed record; TypeError if it has no form or more than 60 levels."""
    return bencoding.encode(value, outer_depth=_VALUE_DEPTH)


def check_fields(salt: bytes, seq: int, expires_at: int | None) -> None:
    """Raise RecordForged if no honest signer writes these fields."""
    if len(salt) > MAX_SALT_BYTES:
        raise RecordForged(f"salt over {MAX_SALT_BYTES} bytes")
    if not 0 <= seq <= MAX_INT64:
        raise RecordForged("sequence number out of range")
    if expires_at is not None and not 0 <= expires_at <= MAX_INT64:
        raise RecordForged("expiry out of range")


def parse_signed(encoded: bytes) -> SignedRecord | None:
    """Return the signed record in a bencoded value, with sorted keys; None if it has another
    form."""
    # The first key is exp or k, so most other values need not be decoded.
    if encoded[:7] not in (b"d1:k32:", b"d3:expi"):
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
    """Raise RecordForged if a record cannot belong to this key."""
    check_fields(record.salt, record.seq, record.expires_at)
    if record.key != key:
        raise RecordForged("record of another key")


def check_signature(record: SignedRecord, verify: VerifySignature) -> None:
    """Raise RecordForged if the signature is not by the public key."""
    if not verify(record.public_key, record.signature, record.signed_bytes):
        raise RecordForged


def is_immutable(key: bytes, encoded: bytes) -> bool:
    """Return whether a value is the immutable record of a key."""
    return sha1(encoded) == key


def is_record(key: bytes, encoded: bytes) -> bool:
    """Return whether a value that was checked before is a record of the key."""
    return is_immutable(key, encoded) or parse_signed(encoded) is not None
