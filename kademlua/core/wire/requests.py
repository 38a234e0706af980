"""The encoded arguments of each RPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.wire import bencoding


def encode_key_args(key: bytes) -> bytes:
    """Encode the arguments of findnode."""
    return b"20:" + key


def encode_findvalue_args(key: bytes, limit: int, offset: int = 0) -> bytes:
    """Encode the arguments of findvalue; the first ``offset`` values are skipped."""
    offset_field = b"i%de" % offset if offset else b""
    return b"20:%bi%de%b" % (key, limit, offset_field)


class OwnerProof(NamedTuple):
    """The public key from which the sender's id is derived, and a signature."""

    public_key: bytes
    signature: bytes


class StoreArguments(NamedTuple):
    """The arguments of store."""

    key: bytes
    encoded: bytes
    """The bencoded value."""
    ttl: int
    """Seconds until the value expires."""
    overwrite: bool = False
    """Whether to remove other owners' values of the key, if the holder allows it."""
    owner: Contact | None = None
    """The owner of a transferred value; None for the sender's own."""
    cas: int | None = None
    """Store only in place of the signed record with this sequence number."""
    token: bytes = b""
    """The holder's write token."""
    seq: int = 0
    """The owner's sequence number of a plain value; 0 for none."""
    proof: OwnerProof | None = None
    """Shows that the sender owns values that it stored at another address."""
    closest: int = 0
    """How many contacts close to the key the reply should have; 0 for none."""


def encode_store_args(arguments: StoreArguments) -> bytes:
    """Encode the arguments of store."""
    key, encoded, ttl, overwrite, owner, cas, token, seq, proof, closest = arguments
    fields = b"" if cas is None else b"3:casi%de" % cas
    if closest:
        fields += b"7:closesti%de" % closest
    if owner is not None:
        fields += b"5:owner%d:%b" % (len(owner.compact), owner.compact)
    if seq:
        fields += _encode_version(seq, proof)
    if fields:
        fields = b"d%be" % fields
    start = b"20:%b%bi%de%d:%b" % (key, encoded, overwrite, len(token), token)
    return b"%bi%de%b" % (start, ttl, fields)


def encode_store_many_args(token_key: bytes, entries: Sequence[bytes], token: bytes) -> bytes:
    """Encode the arguments of storemany: encoded stores, and a token that was given for a key."""
    return b"20:%bl%be%d:%b" % (
        token_key,
        b"".join([b"l%be" % each for each in entries]),
        len(token),
        token,
    )


class RemoveArguments(NamedTuple):
    """The arguments of remove."""

    key: bytes
    ttl: int
    """The longest time in seconds that the value may still live at a holder."""
    token: bytes = b""
    """The holder's write token."""
    seq: int = 0
    """The sequence number of the removal; 0 for none."""
    proof: OwnerProof | None = None
    """Shows that the sender owns values that it stored at another address."""


def encode_remove_args(arguments: RemoveArguments) -> bytes:
    """Encode the arguments of remove."""
    key, ttl, token, seq, proof = arguments
    if seq:
        fields = b"d%be" % _encode_version(seq, proof)
        return b"20:%bi%de%d:%b%b" % (key, ttl, len(token), token, fields)
    token_field = b"%d:%b" % (len(token), token) if token else b""
    return b"20:%bi%de%b" % (key, ttl, token_field)


def _encode_version(seq: int, proof: OwnerProof | None) -> bytes:
    if proof is None:
        return b"3:seqi%de" % seq
    public_key, signature = proof
    return b"2:pk%d:%b3:seqi%de3:sig%d:%b" % (
        len(public_key),
        public_key,
        seq,
        len(signature),
        signature,
    )


def encode_leave_args(*, is_handed_over: bool) -> bytes:
    """Encode the arguments of leave."""
    return b"i%de" % is_handed_over


def encode_lacks_args(
    key: bytes, missing: Sequence[Contact], cache_candidate: Contact | None = None
) -> bytes:
    """Encode the arguments of lacks: nodes that should hold a key, and one that may cache it."""
    missing_ids = b"".join([contact.id for contact in missing])
    candidate_field = (
        b"%d:%b" % (len(cache_candidate.compact), cache_candidate.compact)
        if cache_candidate is not None
        else b""
    )
    return b"20:%b%d:%b%b" % (key, len(missing_ids), missing_ids, candidate_field)


def encode_reach_args(contact: Contact) -> bytes:
    """Encode the arguments of reach, if it names the node to dial back."""
    return b"%d:%b" % (len(contact.compact), contact.compact)


def encode_any_args(args: Sequence[Any]) -> bytes:
    """Encode the arguments of any other RPC.

    TypeError if a value cannot be bencoded, ValueError for more tokens than peers decode.
    """
    encoded = b"".join([bencoding.encode(arg) for arg in args])
    bencoding.check_tokens(encoded)
    return encoded
