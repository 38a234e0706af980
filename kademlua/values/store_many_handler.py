"""The handler of the RPC storemany: several stores in one request."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Endpoint
from kademlua.core.errors import BadArguments
from kademlua.core.wire import replies, store_many
from kademlua.core.wire.packets import Request
from kademlua.runtime.context import Context
from kademlua.values.store_handlers import ReplyLater, StoreHandlers


class StoreManyHandler:
    """Stores several values on behalf of a peer, each as a store of its own would be."""

    __slots__ = ("_context", "_reply_later", "_store_handlers")

    def __init__(
        self, context: Context, store_handlers: StoreHandlers, reply_later: ReplyLater
    ) -> None:
        self._context = context
        self._store_handlers = store_handlers
        self._reply_later = reply_later

    def handle(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Return the results of all stores, or None if the reply waits for the disk."""
        entries = request.args[1] if len(request.args) > 1 else None
        if type(entries) is not list or not 1 <= len(entries) <= store_many.MAX_ENTRIES:
            raise BadArguments(f"storemany takes 1 to {store_many.MAX_ENTRIES} stores")
        results = [self._store(each, request, endpoint) for each in entries]
        store = self._context.store
        if not store.is_durable:
            return store_many.encode_reply(results)

        def on_durable(reason: str | None) -> None:
            final = results
            if reason is not None:
                self._context.stats.refused_stores[reason] += 1
                refusal = replies.encode_refused_reply(reason)
                final = [refusal if each == replies.STORE_OK else each for each in results]
            self._reply_later(request, endpoint, store_many.encode_reply(final))

        store.when_durable(on_durable)
        return None

    def _store(self, args: Any, request: Request, endpoint: Endpoint) -> bytes:
        """Return the result of one store, in the form of its reply."""
        if type(args) is not list:
            return store_many.MALFORMED
        try:
            return self._store_handlers.store_value(args, request, endpoint)
        except BadArguments:
            return store_many.MALFORMED
