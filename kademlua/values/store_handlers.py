"""The holder of values: what it answers to those who store them, and to their owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import RecordRefused, RpcRefused, StoreRefused, WireError
from kademlua.core.ids import ID_BYTES, is_id
from kademlua.core.values import records
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.runtime.context import Context
from kademlua.values.admission import Keeping, remove

Answerer = Callable[[Request, Endpoint, bytes], None]
"""Sends the answer to a request, a payload."""


class Holder:
    """Keeps values for the network; each RPC's method returns a payload, or None where its
    answer waits for the disk."""

    __slots__ = (
        "_answer_later",
        "_clock",
        "_context",
        "_is_leaving",
        "_keeping",
        "_params",
        "_store",
        "_tombstones",
    )

    def __init__(self, context: Context, tombstones: Tombstones, answer_later: Answerer) -> None:
        self._context = context
        self._tombstones = tombstones
        self._answer_later = answer_later
        self._is_leaving = False
        self._store = context.store
        self._keeping = Keeping(context)
        self._params = context.params
        self._clock = context.clock

    def store(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Keep a value: of the sender, or one that the sender hands on for its owner."""
        args = request.args
        count = len(args)
        key = args[0] if args else None
        if type(key) is not bytes or len(key) != ID_BYTES:
            return replies.BAD_KEY_STORE
        if count < 2:
            raise RpcRefused("a store needs a value")
        overwrite = args[2] if count > 2 else 0
        if type(overwrite) is not int:
            raise RpcRefused("overwrite is a number")
        try:
            encoded = replies.encode_value(args[1])
        except TypeError as error:
            raise RpcRefused(str(error)) from None
        seconds = self._seconds(args[4] if count > 4 else 0)
        owner, swaps = self._fields(args[5]) if count > 5 else (None, None)
        if self._is_leaving:
            return self._refused(replies.LEAVING)
        now = self._clock()
        is_direct = owner is None
        if owner is None:
            owner = self._context.sender(request.sender_id, endpoint)
            if self._tombstones.ends:
                self._tombstones.lift(key, owner)
        elif self._is_removed(key, owner, encoded, now):
            return self._refused(replies.REMOVED)
        try:
            self._keeping.put(
                key,
                owner,
                encoded,
                now=now,
                expires=now + seconds,
                overwrite=overwrite != 0,
                is_direct=is_direct,
                swaps=swaps,
            )
        except (StoreRefused, RecordRefused) as refusal:
            return self._refused(refusal.reason)
        observers = self._context.observers
        if observers.all:
            observers.value_stored(key, owner, len(encoded))
        if self._store.is_durable:
            self._once_kept(replies.STORED, request, endpoint)
            return None
        return replies.STORED

    def leave(self) -> None:
        """Take nothing any more: it could not be handed over."""
        self._is_leaving = True

    def remove(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Take the sender's value away, and don't let it come back from other holders."""
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key):
            raise RpcRefused("a remove needs a key")
        now = self._clock()
        ends = now + self._seconds(args[1] if len(args) > 1 else 0)
        owner = self._context.sender(request.sender_id, endpoint)
        is_gone = remove(self._store, self._tombstones, key, owner, ends)
        if not is_gone:
            return replies.NOTHING_THERE
        if self._store.is_durable:
            self._once_kept(replies.TAKEN_AWAY, request, endpoint)
            return None
        return replies.TAKEN_AWAY

    def _once_kept(self, payload: bytes, request: Request, endpoint: Endpoint) -> None:
        """Answer as soon as what was done outlives this process."""

        def kept(reason: str | None) -> None:
            said = payload if reason is None else self._refused(reason)
            self._answer_later(request, endpoint, said)

        self._store.kept(kept)

    def _seconds(self, ttl: Any) -> float:
        """How long a value is kept that comes with this time to live."""
        if type(ttl) is not int or ttl < 0:
            raise RpcRefused("a time to live is seconds")
        return min(ttl, self._params.max_ttl) if ttl else self._params.ttl

    def _is_removed(self, key: bytes, owner: Contact, encoded: bytes, now: float) -> bool:
        """Whether a value that is handed on is one that its owner removed."""
        if self._tombstones.end(key, owner, now) is None:
            return False
        return not records.is_record(key, encoded)  # which nobody can take away

    def _fields(self, fields: Any) -> tuple[Contact | None, int | None]:
        """The owner that a store names, or None where that is the sender, and the sequence
        number that is to be replaced, where there is one."""
        if type(fields) is not dict:
            raise RpcRefused("the fields of a store are a dictionary")
        packed, swaps = fields.get(b"owner"), fields.get(b"cas")
        if swaps is not None and type(swaps) is not int:
            raise RpcRefused("a sequence number is a number")
        return None if packed is None else self._owner(packed), swaps

    def _owner(self, packed: Any) -> Contact:
        """A contact as a store names its value's owner."""
        try:
            owner = replies.read_contact(packed, self._context.pool)
        except WireError as error:
            raise RpcRefused(str(error)) from None
        own, seen = self._context.contact, self._context.standing.address
        # What we ourselves own may come back under the address by which others see us.
        is_own = owner.id == own.id and (owner.port == own.port or owner.endpoint == seen)
        return own if is_own else owner

    def _refused(self, reason: str) -> bytes:
        self._context.stats.refused[reason] += 1
        return replies.refused_reply(reason)
