"""The handler of the RPC findmany: the values of several keys in one reply."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.wire import find_many
from kademlua.core.wire.packets import HEADER_BYTES, Request
from kademlua.runtime.context import Context

_MAX_VALUES: Final = 32
"""Values of a key in a reply. A key with more is one that does not fit."""


class FindManyHandler:
    """Returns the values of several keys from the store of this node."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def handle(self, request: Request, endpoint: Endpoint) -> bytes:
        """Return the values of the keys that fit, and which keys do not."""
        keys = find_many.decode_args(request.args)
        params, store = self._context.params, self._context.store
        budget = min(request.permit.reply_budget, params.max_reply_bytes) - HEADER_BYTES
        budget -= find_many.OVERHEAD_BYTES + find_many.KEY_BYTES * len(keys)
        found: list[list[bytes] | None] = []
        for key in keys:
            values, remaining = store.page(
                key, _MAX_VALUES, request.received_at, max_bytes=max(0, budget)
            )
            size = sum([len(each) for each in values])
            if remaining or size > budget or len(values) == _MAX_VALUES:
                found.append(None)
            else:
                budget -= size
                found.append(values)
        return find_many.encode_reply(found)
