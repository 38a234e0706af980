"""The arguments and results of the RPCs watch and changed (1.1)."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.contact import Contact, ContactPool
from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason
from kademlua.core.values.sequence import MAX_SEQUENCE
from kademlua.core.watch.snapshot import DIGEST_BYTES, HeldValue
from kademlua.core.wire import bencoding, replies
from kademlua.core.wire.packets import MAX_REPLY_TOKENS

SECRET_BYTES: Final = 8
"""Size of what a watcher chooses for each lease, and each notification has to repeat, because the
source of a datagram can be forged."""
MAX_VALUES: Final = 1_024
"""Values in one message."""
MAX_STATE_BYTES: Final = 32_768
"""Values in a reply."""
_ROW_BYTES: Final = 80
"""What a row has beside its value, at most."""
_ROW_TOKENS: Final = 5
_MAX_STATE_TOKENS: Final = MAX_REPLY_TOKENS - 16
"""Tokens of all rows, so that there is room around them in a reply."""
_MAX_LEVELS: Final = bencoding.MAX_DEPTH - 5
"""Levels of a value, so that there is room around it in a notification."""
WATCHED: Final = b"li1ee"
NOT_WATCHED: Final = b"li0ee"
"""The results of changed."""


class KeyState:
    """What a holder sends of a key."""

    __slots__ = ("digest", "lease_seconds", "values")

    def __init__(
        self, digest: bytes, values: list[HeldValue] | None, lease_seconds: int = 0
    ) -> None:
        self.digest = digest
        self.values = values
        """The values; None if the watcher knows them or they are too many."""
        self.lease_seconds = lease_seconds
        """The granted lease; 0 if there is none."""


def take_reportable(values: list[HeldValue]) -> list[HeldValue]:
    """Return the first values, as many as a peer can read in one reply.

    A value that is nested too deeply for a notification is left out.
    """
    bytes_left, tokens_left = MAX_STATE_BYTES, _MAX_STATE_TOKENS
    found: list[HeldValue] = []
    for each in values:
        tokens, levels = bencoding.measure(each.encoded)
        if levels > _MAX_LEVELS:
            continue
        bytes_left -= len(each.encoded) + _ROW_BYTES
        tokens_left -= tokens + _ROW_TOKENS
        if bytes_left < 0 or tokens_left < 0:
            break
        found.append(each)
    return found


def encode_watch_args(
    key: bytes, seconds: int, token: bytes, digest: bytes, secret: bytes
) -> bytes:
    """Encode the arguments of watch; 0 seconds end a lease."""
    start = b"20:%bi%de%d:%b" % (key, seconds, len(token), token)
    return start + b"%d:%b%d:%b" % (len(digest), digest, len(secret), secret)


def encode_watch_reply(state: KeyState, now: float, max_bytes: int) -> bytes:
    """Encode the result of watch, without the values if they take more than ``max_bytes``."""
    return b"l%be" % encode_state(state, now, max_bytes)


def encode_changed_args(key: bytes, secret: bytes, encoded_state: bytes) -> bytes:
    """Encode the arguments of changed."""
    return b"20:%b%d:%b%b" % (key, len(secret), secret, encoded_state)


def decode_watch_reply(values: list[Any], pool: ContactPool, now: float) -> KeyState:
    """Decode the result of watch; WireError if it is malformed."""
    return decode_state(values[0] if values else None, pool, now)


def decode_state(raw: Any, pool: ContactPool, now: float) -> KeyState:
    """Decode the state of a key; WireError if it is malformed."""
    if type(raw) is not dict:
        raise WireError(DropReason.BAD_RESPONSE)
    digest, lease, rows = raw.get(b"digest"), raw.get(b"lease", 0), raw.get(b"values")
    if type(digest) is not bytes or len(digest) != DIGEST_BYTES or type(lease) is not int:
        raise WireError(DropReason.BAD_RESPONSE)
    if rows is None:
        return KeyState(digest, None, max(lease, 0))
    if type(rows) is not list or len(rows) > MAX_VALUES:
        raise WireError(DropReason.BAD_RESPONSE)
    return KeyState(digest, [_decode_row(row, pool, now) for row in rows], max(lease, 0))


def encode_state(state: KeyState, now: float, max_bytes: int) -> bytes:
    """Encode the state of a key, without the values if they take more than ``max_bytes``."""
    rows = b""
    if state.values is not None and len(state.values) <= MAX_VALUES:
        encoded = b"".join(_encode_row(each, now) for each in state.values)
        if len(encoded) <= max_bytes:
            rows = b"6:valuesl%be" % encoded
    return b"d6:digest%d:%b5:leasei%de%be" % (
        len(state.digest), state.digest, state.lease_seconds, rows,
    )  # fmt: skip


def _encode_row(value: HeldValue, now: float) -> bytes:
    assert value.owner is not None  # as in all values of the own store
    compact = value.owner.compact
    remaining = max(0, round(value.expires_at - now))
    return b"l%d:%bi%dei%de%be" % (len(compact), compact, value.seq, remaining, value.encoded)


def _decode_row(row: Any, pool: ContactPool, now: float) -> HeldValue:
    if type(row) is not list or len(row) != 4 or type(row[0]) is not bytes:
        raise WireError(DropReason.BAD_RESPONSE)
    compact, seq, remaining, value = row
    if type(seq) is not int or not 0 <= seq <= MAX_SEQUENCE:
        raise WireError(DropReason.BAD_RESPONSE)
    if type(remaining) is not int or not 0 <= remaining < 1 << 32:
        raise WireError(DropReason.BAD_RESPONSE)
    owner: Contact = pool.find_compact(compact)
    return HeldValue(owner, seq, replies.encode_value(value), now + remaining)
