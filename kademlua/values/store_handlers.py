"""Handlers of the RPCs store and remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import (
    BadArguments,
    ConflictingValue,
    RecordRefused,
    StaleValue,
    StoreRefused,
    WireError,
)
from kademlua.core.ids import ID_BYTES, is_id, to_int
from kademlua.core.values.conflicts import Conflict, ConflictQueue
from kademlua.core.values.sequence import MAX_SEQUENCE
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import replies, store_contacts
from kademlua.core.wire.packets import Request
from kademlua.core.wire.requests import OwnerProof
from kademlua.runtime.context import Context
from kademlua.values import ownership
from kademlua.values.admission import AdmissionPolicy, remove_with_tombstone

ReplyLater = Callable[[Request, Endpoint, bytes], None]
"""Sends a payload as the reply to an earlier request."""


class _Fields:
    """The optional fields of a store or remove."""

    __slots__ = ("cas", "owner", "proof", "seq")

    def __init__(
        self,
        seq: int = 0,
        owner: Contact | None = None,
        cas: int | None = None,
        proof: OwnerProof | None = None,
    ) -> None:
        self.seq = seq
        self.owner = owner
        """The owner of a transferred value; None if the sender owns it."""
        self.cas = cas
        self.proof = proof


_NO_FIELDS: Final = _Fields()
_REPLY_OVERHEAD_BYTES: Final = 300
"""Bytes of a store's reply around its contacts, at most."""


class StoreHandlers:
    """Stores and removes values on behalf of peers.

    A handler returns the payload of its reply, or None if the reply waits for the disk.
    """

    __slots__ = (
        "_admission",
        "_conflicts",
        "_context",
        "_is_leaving",
        "_on_change",
        "_params",
        "_reply_later",
        "_store",
    )

    def __init__(
        self,
        context: Context,
        conflicts: ConflictQueue,
        reply_later: ReplyLater,
        on_change: Callable[[bytes], None],
    ) -> None:
        """Prepare; ``on_change`` is called with the key of each value that changes."""
        self._context = context
        self._on_change = on_change
        self._conflicts = conflicts
        self._reply_later = reply_later
        self._is_leaving = False
        self._store = context.store
        self._admission = AdmissionPolicy(context.store, context.wall_clock)
        self._params = context.params

    def handle_store(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Handle store: keep a value of the sender, or one that the sender replicates."""
        payload = self.store_value(request.args, request, endpoint)
        if payload == replies.STORE_OK and self._store.is_durable:
            self._reply_when_durable(payload, request, endpoint)
            return None
        return self._with_contacts(payload, request)

    def store_value(self, args: list[Any], request: Request, endpoint: Endpoint) -> bytes:
        """Store a value; return the payload of the reply, which may have to wait for the disk."""
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
        fields = self._parse_fields(args[5]) if arg_count > 5 else _NO_FIELDS
        if self._is_leaving:
            return self._refusal(request, replies.REASON_LEAVING)
        now = request.received_at
        owner, seq, proof = fields.owner, fields.seq, fields.proof
        sender = self._context.sender_of(request, endpoint)
        from_owner = owner is None
        charged = None if from_owner else sender
        entry = StoreEntry(encoded, now + ttl, now, seq, charged, from_owner=from_owner)
        owner = owner or sender
        try:
            former = [] if proof is None else self._former_values(key, owner, fields)
            for _, each in former:
                if each.seq > seq:
                    raise StaleValue(each.seq)
            self._admission.admit(key, owner, entry, overwrite=overwrite != 0, cas=fields.cas)
        except ConflictingValue as refusal:
            self._conflicts.add(Conflict(key, owner, entry))
            return self._refusal(request, refusal.reason)
        except (StoreRefused, RecordRefused) as refusal:
            newest_seq = refusal.newest_seq if isinstance(refusal, StaleValue) else 0
            return self._refusal(request, refusal.reason, newest_seq)
        for former_owner, _ in former:
            remove_with_tombstone(
                self._store, key, former_owner, now + self._params.max_ttl, seq, now=now
            )
        self._on_change(key)
        observers = self._context.observers
        if observers.registered:
            observers.notify_value_stored(key, owner, len(encoded))
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
        now = request.received_at
        tombstone_until = now + self._effective_ttl(args[1] if len(args) > 1 else 0)
        fields = self._parse_fields(args[3]) if len(args) > 3 else _NO_FIELDS
        owner = self._context.sender_of(request, endpoint)
        owners = [owner, *(each for each, _ in self._former_values(key, owner, fields))]
        try:
            is_removed = [
                remove_with_tombstone(self._store, key, each, tombstone_until, fields.seq, now=now)
                for each in owners
            ]
        except StaleValue as refusal:
            return replies.encode_refused_reply(refusal.reason, refusal.newest_seq)
        self._on_change(key)
        reply = replies.REMOVE_OK if any(is_removed) else replies.REMOVE_NOT_FOUND
        if self._store.is_durable:
            self._reply_when_durable(reply, request, endpoint)
            return None
        return reply

    def _reply_when_durable(self, payload: bytes, request: Request, endpoint: Endpoint) -> None:
        """Send the reply when the change is durable."""

        def on_durable(reason: str | None) -> None:
            reply = payload
            if reason is not None:
                self._context.stats.refused_stores[reason] += 1
                reply = replies.encode_refused_reply(reason)
            self._reply_later(request, endpoint, self._with_contacts(reply, request))

        self._store.when_durable(on_durable)

    def _with_contacts(self, payload: bytes, request: Request) -> bytes:
        """Add the contacts that the sender of a store asks for with the field ``closest``.

        The sender's address is validated, so the amplification limit does not apply.
        """
        args = request.args
        fields = args[5] if len(args) > 5 else None
        count = fields.get(b"closest") if type(fields) is dict else None
        if type(count) is not int or count <= 0 or payload == replies.BAD_KEY_STORE:
            return payload
        count = min(count, self._params.k)
        contacts = self._context.table.closest(args[0], count, request.sender_id, is_sorted=False)
        max_bytes = self._params.max_reply_bytes - _REPLY_OVERHEAD_BYTES
        if replies.encoded_size(contacts, request.version) > max_bytes:
            target_int = to_int(args[0])
            contacts.sort(key=lambda contact: contact.id_int ^ target_int)
            contacts = replies.take_fitting(contacts, request.version, max_bytes)
        return store_contacts.with_contacts(payload, contacts)

    def _effective_ttl(self, ttl: Any) -> float:
        """Return the seconds for which a value with the requested TTL is kept."""
        if type(ttl) is not int or ttl < 0:
            raise BadArguments("a TTL is a number of seconds")
        return min(ttl, self._params.max_ttl) if ttl else self._params.ttl

    # Values that the owner stored from another address

    def _former_values(
        self, key: bytes, owner: Contact, fields: _Fields
    ) -> list[tuple[Contact, StoreEntry]]:
        """Return the owner's values from other addresses if the request proves that they are its.

        The signature is verified only if there are any, because that is expensive.
        """
        if fields.proof is None:
            return []
        former = ownership.other_addresses(self._store, key, owner)
        if not former or not ownership.is_proven(
            owner.id, self._context.id, key, fields.seq, fields.proof
        ):
            return []
        entries = ((each, self._store.find(key, each)) for each in former)
        return [(each, entry) for each, entry in entries if entry is not None]

    def _parse_fields(self, options: Any) -> _Fields:
        """Return the fields of a store or remove."""
        if type(options) is not dict:
            raise BadArguments("the fields of a store or remove are a dictionary")
        seq = options.get(b"seq", 0)
        if type(seq) is not int or not 0 <= seq <= MAX_SEQUENCE:
            raise BadArguments("a sequence number is 0 to 2**63 - 1")
        if len(options) == 1 and seq:  # the usual case
            return _Fields(seq)
        compact_owner, cas = options.get(b"owner"), options.get(b"cas")
        if cas is not None and type(cas) is not int:
            raise BadArguments("the sequence number to be replaced is a number")
        owner = None if compact_owner is None else self._parse_owner(compact_owner)
        return _Fields(seq, owner, cas, self._parse_proof(options) if owner is None else None)

    def _parse_proof(self, options: dict[bytes, Any]) -> OwnerProof | None:
        public_key, signature = options.get(b"pk"), options.get(b"sig")
        if (
            type(public_key) is not bytes
            or type(signature) is not bytes
            or len(public_key) != ownership.PUBLIC_KEY_BYTES
            or len(signature) != ownership.SIGNATURE_BYTES
        ):
            return None
        return OwnerProof(public_key, signature)

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

    def _refusal(self, request: Request, reason: str, newest_seq: int = 0) -> bytes:
        """Count a refusal and return the reply.

        Raises:
            BadArguments: The sender speaks version 1.0, which takes any reply for success.
        """
        self._context.stats.refused_stores[reason] += 1
        if request.version == 0:
            raise BadArguments(reason)
        return replies.encode_refused_reply(reason, newest_seq)
