"""Sending one store or remove to all replicas concurrently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
from kademlua.rpc.client import CallOptions, EncodedRequest, RpcClient

_OK = [1]
"""What a store or remove returns that succeeded."""
EncodeFor = Callable[[Contact, bytes], EncodedRequest]
"""Encodes the request to a contact; the bytes are its write token, or empty."""


class FanOut:
    """Sends one store or remove to several nodes concurrently.

    Contacts that time out are replaced from ``fallbacks``.
    """

    def __init__(
        self,
        client: RpcClient,
        liveliness: LivelinessManager,
        encode_for: EncodeFor,
        *,
        read_refusal: Callable[[list[Any]], Refusal | None] = replies.decode_store_reply,
        write_tokens: Mapping[Contact, bytes] | None = None,
    ) -> None:
        """Prepare to send requests; ``read_refusal`` decodes a reply."""
        self._encode_for = encode_for
        self._read_refusal = read_refusal
        self._write_tokens = write_tokens or {}
        self._client = client
        self._liveliness = liveliness
        self.report = StoreReport()
        """The outcome at each node."""
        self._fallbacks: list[Contact] = []
        self._outstanding = 0
        self.sent_count = 0
        """Number of requests sent."""
        self._finished: AsyncResult[None] = AsyncResult()

    def run(self, recipients: list[Contact], fallbacks: list[Contact]) -> StoreReport:
        """Send the requests, and block this greenlet until each was answered or timed out.

        Raises:
            NodeClosed: The node is closed.
        """
        self._fallbacks = fallbacks[::-1]
        for recipient in recipients:
            self._send(recipient)
        if self._outstanding:
            self._finished.get()
        return self.report

    def _send(self, recipient: Contact) -> None:
        rto = self._liveliness.rto_estimator.rto_for(recipient)
        token = self._write_tokens.get(recipient, b"")
        if not token and not self._liveliness.is_validated_at(recipient):
            rto *= 2  # the contact may validate this address before it replies
        timeout = self._liveliness.rto_estimator.timeout_for(rto)
        alias = self._liveliness.versions.alias_for(recipient)
        options = CallOptions(timeout, _ignore_late, rto, alias=alias)
        request = self._encode_for(recipient, token)
        try:
            self._client.send(recipient.endpoint, recipient, request, self._on_done, options)
        except TooManyCalls as error:  # requests already sent continue
            self.report.refused.append((recipient, str(error)))
        else:
            self._outstanding += 1
            self.sent_count += 1

    def _on_done(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        self._outstanding -= 1
        if isinstance(result, NodeClosed):
            self._finished.set_exception(result)
            return
        if result == _OK:  # the usual case
            self.report.acknowledged.append(contact)
        elif not result and self._liveliness.versions.is_alias_refused(contact):
            self._send(contact)
        elif isinstance(result, RpcTimeout):
            self.report.timed_out.append(contact)
            self._liveliness.on_timeout(contact)
            # After a pause, the TTL in the request is no longer right.
            if self._fallbacks and not isinstance(result, CallInterrupted):
                self._send(self._fallbacks.pop())
        else:
            refusal = self._refusal(result)
            if refusal is None:
                self.report.acknowledged.append(contact)
            else:
                self.report.refused.append((contact, refusal.reason))
                if refusal.newest_seq:
                    self.report.newer_seqs.append(refusal.newest_seq)
        if self._outstanding == 0:
            self._finished.set(None)

    def _refusal(self, result: list[Any] | KademluaError) -> Refusal | None:
        """Return why a request was not acknowledged, or None if it was."""
        if isinstance(result, KademluaError):
            return Refusal(str(result))
        try:
            return self._read_refusal(result)
        except WireError as error:
            self._client.count_malformed_reply(error)
            return Refusal(str(error))


def _ignore_late(_: PendingCall) -> None:
    """Do nothing: a store needs only the retransmission that this callback enables."""
