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
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import CallOptions, EncodedRequest, RpcClient


class FanOut:
    """Sends one store or remove to several nodes concurrently.

    Contacts that time out are replaced from ``fallbacks``.
    """

    def __init__(
        self,
        client: RpcClient,
        liveliness: LivelinessManager,
        request: EncodedRequest,
        report: StoreReport,
        read_refusal: Callable[[list[Any]], str | None] = replies.decode_store_reply,
        tokened_requests: Mapping[Contact, EncodedRequest] | None = None,
    ) -> None:
        """Prepare to send ``request`` and to record the outcome in ``report``.

        ``read_refusal`` returns the refusal reason of a reply, or None. ``tokened_requests``
        holds the request for each contact that issued a write token.
        """
        self._read_refusal = read_refusal
        self._tokened_requests = tokened_requests or {}
        self._client = client
        self._liveliness = liveliness
        self._request = request
        self._report = report
        self._fallbacks: list[Contact] = []
        self._outstanding = 0
        self.sent_count = 0
        """Number of requests sent."""
        self._finished: AsyncResult[None] = AsyncResult()

    def run(self, recipients: list[Contact], fallbacks: list[Contact]) -> None:
        """Send the requests, and block this greenlet until each was answered or timed out.

        Raises:
            NodeClosed: The node is closed.
        """
        self._fallbacks = fallbacks[::-1]
        for recipient in recipients:
            self._send(recipient)
        if self._outstanding:
            self._finished.get()

    def _send(self, recipient: Contact) -> None:
        rto = self._liveliness.rto_estimator.rto_for(recipient)
        request = self._tokened_requests.get(recipient)
        if request is None:
            request = self._request
            if not self._liveliness.is_validated_at(recipient):
                rto *= 2  # the contact may validate this address before it replies
        timeout = self._liveliness.rto_estimator.timeout_for(rto)
        options = CallOptions(timeout, _ignore_late, rto)
        try:
            self._client.send(recipient.endpoint, recipient, request, self._on_done, options)
        except TooManyCalls as error:  # requests already sent continue
            self._report.refused.append((recipient, str(error)))
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
        if isinstance(result, RpcTimeout):
            self._report.timed_out.append(contact)
            self._liveliness.on_timeout(contact)
            # After a pause, the TTL in the request is no longer right.
            if self._fallbacks and not isinstance(result, CallInterrupted):
                self._send(self._fallbacks.pop())
        else:
            reason = self._refusal_reason(result)
            if reason is None:
                self._report.acknowledged.append(contact)
            else:
                self._report.refused.append((contact, reason))
        if self._outstanding == 0:
            self._finished.set(None)

    def _refusal_reason(self, result: list[Any] | KademluaError) -> str | None:
        """Return why a request was not acknowledged, or None if it was."""
        if isinstance(result, KademluaError):
            return str(result)
        try:
            return self._read_refusal(result)
        except WireError as error:
            self._client.count_malformed_reply(error)
            return str(error)


def _ignore_late(_: PendingCall) -> None:
    """Do nothing: a store needs only the retransmission that this callback enables."""
