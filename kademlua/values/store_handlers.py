"""Handlers of the RPCs store and remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import BadArguments, RecordRefused, StoreRefused, WireError
from kademlua.core.ids import ID_BYTES, is_id
from kademlua.core.values import records
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.runtime.context import Context
from kademlua.values.admission import AdmissionPolicy, remove_with_tombstone

ReplyLater = Callable[[Request, Endpoint, bytes], None]
"""Sends a payload as the reply to an earlier request."""


class StoreHandlers:
    """Stores and removes values on behalf of peers.

    A handler returns the payload of its reply, or None if the reply waits for the disk.
    """

    __slots__ = (
        "_admission",
        "_clock",
        "_context",
        "_is_leaving",
        "_params",
        "_reply_later",
        "_store",
        "_tombstones",
    )

    def __init__(self, context: Context, tombstones: Tombstones, reply_later: ReplyLater) -> None:
        self._context = context
        self._tombstones = tombstones
        self._reply_later = reply_later
        self._is_leaving = False
        self._store = context.store
        self._admission = AdmissionPolicy(context)
        self._params = context.params
        self._clock = context.clock

    def handle_store(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Handle store: keep a value of the sender, or one that the sender replicates."""
        args = request.args
        arg_count = len(args)
        key = args[0] if args else None
        if type(key) is not bytes or len(key) != ID_BYTES:
            return replies.BAD_KEY_STORE
        if arg_count < 2:
            raise BadArguments("a store needs a value")
        overwrite = args[2] if arg_count > 2 else 0
        if type(overwrite) is not int:
            raise BadArguments("overwrite is a number")
        try:
            encoded = replies.encode_value(args[1])
        except TypeError as error:
            raise BadArguments(str(error)) from None
        ttl = self._effective_ttl(args[4] if arg_count > 4 else 0)
        owner, cas = self._parse_options(args[5]) if arg_count > 5 else (None, None)
        if self._is_leaving:
            return self._refusal(request, replies.REASON_LEAVING)
        now = self._clock()
        from_owner = owner is None
        if owner is None:
            owner = self._context.contact_for(request.sender_id, endpoint)
            if self._tombstones.expirations:
                self._tombstones.remove(key, owner)
        elif self._is_removed(key, owner, encoded, now):
            return self._refusal(request, replies.REASON_REMOVED)
        try:
            self._admission.admit(
                key,
                owner,
                StoreEntry(encoded, now + ttl, from_owner, now),
                overwrite=overwrite != 0,
                cas=cas,
            )
        except (StoreRefused, RecordRefused) as refusal:
            return self._refusal(request, refusal.reason)
        observers = self._context.observers
        if observers.registered:
            observers.notify_value_stored(key, owner, len(encoded))
        if self._store.is_durable:
            self._reply_when_durable(replies.STORE_OK, request, endpoint)
            return None
        return replies.STORE_OK

    def refuse_new(self) -> None:
        """Refuse stores during shutdown, when they could not be handed over."""
        self._is_leaving = True

    def handle_remove(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Handle remove: drop the sender's value and leave a tombstone against replication."""
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key):
            raise BadArguments("a remove needs a key")
        now = self._clock()
        tombstone_until = now + self._effective_ttl(args[1] if len(args) > 1 else 0)
        owner = self._context.contact_for(request.sender_id, endpoint)
        is_removed = remove_with_tombstone(
            self._store, self._tombstones, key, owner, tombstone_until
        )
        if not is_removed:
            return replies.REMOVE_NOT_FOUND
        if self._store.is_durable:
            self._reply_when_durable(replies.REMOVE_OK, request, endpoint)
            return None
        return replies.REMOVE_OK

    def _reply_when_durable(self, payload: bytes, request: Request, endpoint: Endpoint) -> None:
        """Send the reply when the change is durable."""

        def on_durable(reason: str | None) -> None:
            if reason is not None:
                self._context.stats.refused_stores[reason] += 1
            reply = payload if reason is None else replies.encode_refused_reply(reason)
            self._reply_later(request, endpoint, reply)

        self._store.when_durable(on_durable)

    def _effective_ttl(self, ttl: Any) -> float:
        """Return the seconds for which a value with the requested TTL is kept."""
        if type(ttl) is not int or ttl < 0:
            raise BadArguments("a time to live is seconds")
        return min(ttl, self._params.max_ttl) if ttl else self._params.ttl

    def _is_removed(self, key: bytes, owner: Contact, encoded: bytes, now: float) -> bool:
        """Return whether the owner removed this replicated value."""
        if self._tombstones.get_expiry(key, owner, now) is None:
            return False
        return not records.is_record(key, encoded)  # records cannot be removed

    def _parse_options(self, options: Any) -> tuple[Contact | None, int | None]:
        """Return the owner and the sequence number to replace, each None if not given.

        Without an owner the sender owns the value.
        """
        if type(options) is not dict:
            raise BadArguments("the fields of a store are a dictionary")
        compact_owner, cas = options.get(b"owner"), options.get(b"cas")
        if cas is not None and type(cas) is not int:
            raise BadArguments("a sequence number is a number")
        return None if compact_owner is None else self._parse_owner(compact_owner), cas

    def _parse_owner(self, compact: Any) -> Contact:
        """Return the contact of a value's owner."""
        try:
            owner = replies.decode_contact(compact, self._context.pool)
        except WireError as error:
            raise BadArguments(str(error)) from None
        local_contact = self._context.local_contact
        external_address = self._context.status.external_address
        # Peers may replicate this node's own values to it under its external address.
        is_local = owner.id == local_contact.id and (
            owner.port == local_contact.port or owner.endpoint == external_address
        )
        return local_contact if is_local else owner

    def _refusal(self, request: Request, reason: str) -> bytes:
        self._context.stats.refused_stores[reason] += 1
        if not request.version:  # the original takes 0 for success
            raise BadArguments(reason)
        return replies.encode_refused_reply(reason)
