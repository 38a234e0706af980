"""Sending one store or remove to all replicas concurrently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    CallInterrupted,
    KademluaError,
    NodeClosed,
    RpcTimeout,
    TooManyCalls,
    WireError,
)
from kademlua.core.pending_calls import PendingCall
from kademlua.core.results import StoreReport
from kademlua.core.wire import replies
from kademlua.core.wire.replies import Refusal
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions, EncodedRequest, padded_bytes
from kademlua.rpc.client import ReplyCallback, RpcClient
from kademlua.rpc.timeouts import MIN_WRITE_RTO

_OK: Final = [1]
"""What a store or remove returns that succeeded."""
EncodeFor = Callable[[Contact, bytes], EncodedRequest]
"""Encodes the request to a contact; the bytes are its write token, or empty."""


@dataclass(slots=True, kw_only=True)  # not frozen: making one would take four times as long
class FanOutOptions:
    """How a ``FanOut`` sends its requests."""

    read_refusal: Callable[[list[Any]], Refusal | None] = replies.decode_store_reply
    """Decodes a reply."""
    write_tokens: Mapping[Contact, bytes] = field(default_factory=dict)
    token_query: EncodedRequest | None = None
    """Sent first to a contact that has not replied to this node yet. The reply has a write token.
    Without it, the client pings such a contact."""
    on_extra: Callable[[], None] | None = None
    """Called for each request to a fallback and for each retransmission."""


_DEFAULT_OPTIONS: Final = FanOutOptions()


class FanOut:
    """Sends one store or remove to several nodes concurrently.

    Contacts that time out are replaced from ``fallbacks``.
    """

    def __init__(
        self,
        client: RpcClient,
        liveliness: LivelinessManager,
        encode_for: EncodeFor,
        options: FanOutOptions = _DEFAULT_OPTIONS,
    ) -> None:
        """Prepare to send requests."""
        self.encode_for = encode_for
        self._options = options
        self._write_tokens = dict(options.write_tokens)
        self._client = client
        self._liveliness = liveliness
        self.report = StoreReport()
        """The outcome at each node."""
        self._fallbacks: list[Contact] = []
        self._early: dict[Contact, list[Any] | KademluaError | None] = {}
        """Results at the contacts that got the request before ``run``; None while unknown."""
        self._outstanding = 0
        self.sent_count = 0
        """Number of requests sent."""
        self._finished: AsyncResult[None] = AsyncResult()

    def add_tokens(self, write_tokens: Mapping[Contact, bytes]) -> None:
        """Add write tokens to those of the options."""
        self._write_tokens.update(write_tokens)

    def has_sent(self, contact: Contact) -> bool:
        """Return whether a contact got the request early."""
        return contact in self._early

    def record_early(
        self, contact: Contact, result: list[Any] | KademluaError | None = None
    ) -> None:
        """Record that the caller sent the request to a contact, and later the result."""
        self._early[contact] = result
        if isinstance(result, list):
            self._liveliness.on_served(contact)

    def send_early(self, contact: Contact, token: bytes) -> None:
        """Send the request to a contact that is probably a recipient."""
        self._early[contact] = None
        self._write_tokens[contact] = token
        self._send(contact)

    def run(self, recipients: list[Contact], fallbacks: list[Contact]) -> StoreReport:
        """Send the requests, and block this greenlet until each was answered or timed out.

        Early results at contacts that are no recipients do not count.

        Raises:
            NodeClosed: The node is closed.
        """
        self._fallbacks = fallbacks[::-1]
        for recipient in recipients:
            self._begin(recipient)
        if self._outstanding:
            self._finished.get()
        return self.report

    def _begin(self, recipient: Contact) -> None:
        """Send a request, unless the recipient got it early."""
        if recipient not in self._early:
            self._send(recipient)
            return
        result = self._early.pop(recipient)
        if result is None:  # in flight
            self._outstanding += 1
        else:
            self._settle(recipient, result)

    def _send(self, recipient: Contact) -> None:
        token = self._write_tokens.get(recipient, b"")
        token_query = self._options.token_query
        if not token and token_query is not None and not self._liveliness.has_replied(recipient):
            padding = padded_bytes(recipient.endpoint)
            self._call(recipient, token_query, self._on_token, min_bytes=padding)
            return
        is_validated = token or self._liveliness.is_validated_at(recipient)
        # The contact may validate this address before it replies.
        patience = 1 if is_validated else 2
        request = self.encode_for(recipient, token)
        self._call(recipient, request, self._on_done, patience=patience)

    def _call(
        self,
        recipient: Contact,
        request: EncodedRequest,
        on_done: ReplyCallback,
        *,
        patience: int = 1,
        min_bytes: int = 0,
    ) -> None:
        rto_estimator = self._liveliness.rto_estimator
        rto = patience * rto_estimator.rto_for(recipient, MIN_WRITE_RTO)
        # A token came in a reply a moment ago.
        has_replied = bool(self._write_tokens.get(recipient))
        timeout = (
            rto_estimator.patient_timeout_for(rto)
            if has_replied
            else rto_estimator.timeout_for(rto)
        )
        alias = self._liveliness.versions.alias_for(recipient)
        options = CallOptions(timeout, self._on_late, rto, min_bytes, alias)
        try:
            self._client.send(recipient.endpoint, recipient, request, on_done, options)
        except TooManyCalls as error:  # requests already sent continue
            self._settle(recipient, error)
        else:
            self._outstanding += recipient not in self._early
            self.sent_count += 1

    def _on_late(self, call: PendingCall) -> None:
        if call.late_count == 1 and not call.held_datagram:  # it was retransmitted
            self._count_extra()

    def _count_extra(self) -> None:
        if self._options.on_extra is not None:
            self._options.on_extra()

    def _on_token(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        """Send the request to a contact that has replied to the query."""
        if isinstance(result, (RpcTimeout, NodeClosed)):
            self._on_done(call, result)
            return
        assert call.contact is not None
        is_early = call.contact in self._early
        self._outstanding -= not is_early
        with suppress(WireError):
            if isinstance(result, list) and (token := replies.decode_token(result)):
                self._write_tokens[call.contact] = token
        self._send(call.contact)
        if not is_early:
            self._finish_if_done()

    def _on_done(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        if isinstance(result, NodeClosed):
            self._finished.set_exception(result)
            return
        is_early = contact in self._early
        if isinstance(result, list):
            self._liveliness.on_served(contact)
        self._settle(contact, result)
        if not is_early:
            self._outstanding -= 1
            self._finish_if_done()

    def _settle(self, contact: Contact, result: list[Any] | KademluaError) -> None:
        """Record a result in the report; send the request to a fallback after a timeout."""
        if contact in self._early:
            self._early[contact] = result
        elif result == _OK:  # the usual case
            self.report.acknowledged.append(contact)
        elif not result and self._liveliness.versions.is_alias_refused(contact):
            self._send(contact)
        elif isinstance(result, RpcTimeout):
            self.report.timed_out.append(contact)
            self._liveliness.on_timeout(contact)
            # After a pause, the TTL in the request is no longer right.
            if self._fallbacks and not isinstance(result, CallInterrupted):
                self._count_extra()
                self._begin(self._fallbacks.pop())
        else:
            refusal = self._refusal(result)
            if refusal is None:
                self.report.acknowledged.append(contact)
            else:
                self.report.refused.append((contact, refusal.reason))
                if refusal.newest_seq:
                    self.report.newer_seqs.append(refusal.newest_seq)

    def _finish_if_done(self) -> None:
        if self._outstanding == 0:
            self._finished.set(None)

    def _refusal(self, result: list[Any] | KademluaError) -> Refusal | None:
        """Return why a request was not acknowledged, or None if it was."""
        if isinstance(result, KademluaError):
            return Refusal(str(result))
        try:
            return self._options.read_refusal(result)
        except WireError as error:
            self._client.count_malformed_reply(error)
            return Refusal(str(error))
