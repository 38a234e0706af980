"""The arguments of each RPC, encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.wire import bencoding


def args_key(key: bytes) -> bytes:
    """The arguments of findnode."""
    return b"20:" + key


def args_findvalue(key: bytes, howmany: int, skip: int = 0) -> bytes:
    """The arguments of findvalue; ``skip`` values are passed over, which were there before."""
    behind = b"i%de" % skip if skip else b""
    return b"20:%bi%de%b" % (key, howmany, behind)


def args_store(
    key: bytes,
    encoded: bytes,
    overwrite: bool,
    ttl: int,
    owner: Contact | None = None,
    swaps: int | None = None,
    token: bytes = b"",
) -> bytes:
    """The arguments of store; ``encoded`` is the bencoded value, ``ttl`` how many seconds it
    has. With ``owner`` it is handed on for this one; with ``swaps`` it is to replace only the
    signed record of that sequence number; ``token`` is what the holder gave."""
    fields = b"" if swaps is None else b"3:casi%de" % swaps
    if owner is not None:
        fields += b"5:owner%d:%b" % (len(owner.packed), owner.packed)
    if fields:
        fields = b"d%be" % fields
    start = b"20:%b%bi%de%d:%b" % (key, encoded, overwrite, len(token), token)
    return b"%bi%de%b" % (start, ttl, fields)


def args_remove(key: bytes, ttl: int, token: bytes = b"") -> bytes:
    """The arguments of remove; ``ttl`` is how many seconds the value may still have, ``token``
    what the holder gave."""
    shown = b"%d:%b" % (len(token), token) if token else b""
    return b"20:%bi%de%b" % (key, ttl, shown)


def args_leave(is_handed_over: bool) -> bytes:
    """The arguments of leave."""
    return b"i%de" % is_handed_over


def args_lacks(key: bytes, lacking: Sequence[Contact], cache: Contact | None = None) -> bytes:
    """The arguments of lacks: who should hold a key and does not; who may cache it."""
    lacking_ids = b"".join([contact.id for contact in lacking])
    packed = b"%d:%b" % (len(cache.packed), cache.packed) if cache is not None else b""
    return b"20:%b%d:%b%b" % (key, len(lacking_ids), lacking_ids, packed)


def args_reach(contact: Contact) -> bytes:
    """The arguments of reach, where it names who is to be reached."""
    return b"%d:%b" % (len(contact.packed), contact.packed)


def args_any(args: Sequence[Any]) -> bytes:
    """The arguments of any other RPC; TypeError for what can't be bencoded."""
    return b"".join([bencoding.encode(arg) for arg in args])
