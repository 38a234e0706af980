"""The arguments of each RPC, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.wire import bencoding


def encode_key_args(key: bytes) -> bytes:
    """The arguments of findnode."""
    return b"20:" + key


def encode_findvalue_args(key: bytes, limit: int, offset: int = 0) -> bytes:
    """The arguments of findvalue; ``offset`` values are passed over, which were there before."""
    offset_field = b"i%de" % offset if offset else b""
    return b"20:%bi%de%b" % (key, limit, offset_field)


def encode_store_args(
    key: bytes,
    encoded: bytes,
    overwrite: bool,
    ttl: int,
    owner: Contact | None = None,
    cas: int | None = None,
    token: bytes = b"",
) -> bytes:
    """The arguments of store; ``encoded`` is the bencoded value, ``ttl`` how many seconds it
    has. With ``owner`` it is handed on for this one; with ``cas`` it is to replace only the
    signed record of that sequence number; ``token`` is what the holder gave."""
    fields = b"" if cas is None else b"3:casi%de" % cas
    if owner is not None:
        fields += b"5:owner%d:%b" % (len(owner.compact), owner.compact)
    if fields:
        fields = b"d%be" % fields
    start = b"20:%b%bi%de%d:%b" % (key, encoded, overwrite, len(token), token)
    return b"%bi%de%b" % (start, ttl, fields)


def encode_remove_args(key: bytes, ttl: int, token: bytes = b"") -> bytes:
    """The arguments of remove; ``ttl`` is how many seconds the value may still have, ``token``
    what the holder gave."""
    token_field = b"%d:%b" % (len(token), token) if token else b""
    return b"20:%bi%de%b" % (key, ttl, token_field)


def encode_leave_args(is_handed_over: bool) -> bytes:
    """The arguments of leave."""
    return b"i%de" % is_handed_over


def encode_lacks_args(
    key: bytes, missing: Sequence[Contact], cache_candidate: Contact | None = None
) -> bytes:
    """The arguments of lacks: who should hold a key and does not; who may cache it."""
    missing_ids = b"".join([contact.id for contact in missing])
    candidate_field = (
        b"%d:%b" % (len(cache_candidate.compact), cache_candidate.compact)
        if cache_candidate is not None
        else b""
    )
    return b"20:%b%d:%b%b" % (key, len(missing_ids), missing_ids, candidate_field)


def encode_reach_args(contact: Contact) -> bytes:
    """The arguments of reach, where it names who is to be reached."""
    return b"%d:%b" % (len(contact.compact), contact.compact)


def encode_any_args(args: Sequence[Any]) -> bytes:
    """The arguments of any other RPC; TypeError for what can't be bencoded."""
    return b"".join([bencoding.encode(arg) for arg in args])
