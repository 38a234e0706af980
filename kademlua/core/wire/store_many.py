"""The reply to storemany (1.1): a result for each of its stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason
from kademlua.core.wire import replies
from kademlua.core.wire.replies import Refusal

MAX_ENTRIES: Final = 32
"""Stores in one request."""
MALFORMED: Final = replies.encode_refused_reply("malformed")
"""The result of a store with invalid arguments."""


def encode_reply(results: Sequence[bytes]) -> bytes:
    """Encode the results of all stores, each as the reply to a store."""
    return b"ll%bee" % b"".join(results)


def decode_reply(values: list[Any], count: int) -> list[Refusal | None]:
    """Return for each of ``count`` stores None if the value was stored, else why not.

    Raises:
        WireError: The reply is malformed.
    """
    rows = values[0] if values else None
    if type(rows) is not list or len(rows) != count or not all(type(row) is list for row in rows):
        raise WireError(DropReason.BAD_RESPONSE)
    return [replies.decode_store_reply(row) for row in rows]
