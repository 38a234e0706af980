"""SeedQuery: findnode for the own id, sent to addresses whose ids are not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gevent import Timeout
from gevent.event import AsyncResult

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, WireError
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions, padded_bytes
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context


class SeedQuery:
    """One attempt to get a reply from any of several addresses.

    Each ``hold``, and each call in flight, keeps it from ending without a reply.
    """

    __slots__ = (
        "_client",
        "_context",
        "_first_reply",
        "_holds",
        "_liveliness",
        "_sent_to",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._first_reply: AsyncResult[list[Contact] | None] = AsyncResult()
        self._holds = 1
        self._sent_to: set[Endpoint] = set()

    def hold(self) -> None:
        """Expect more addresses, until ``release``."""
        self._holds += 1

    def release(self) -> None:
        """End a ``hold``."""
        self._holds -= 1
        if not self._holds and not self._first_reply.ready():
            self._first_reply.set(None)

    def send(self, endpoints: Iterable[Endpoint], *, is_configured: bool = False) -> None:
        """Send findnode to these addresses, to each once; not to the own one.

        Those that are not configured get it only as often as the outgoing gate permits, unless they
        replied earlier in this run.
        """
        context = self._context
        families, local_endpoint = context.address_families, context.transport.local_endpoint
        for endpoint in endpoints:
            is_ipv6 = ":" in endpoint[0]
            if endpoint in self._sent_to or endpoint == local_endpoint:
                continue
            if not families.supports(is_ipv6=is_ipv6):
                continue
            has_replied = self._client.gate.has_replied_before(endpoint)
            self._send_findnode(endpoint, is_authorized=is_configured or has_replied)
            self._sent_to.add(endpoint)

    def _send_findnode(self, endpoint: Endpoint, *, is_authorized: bool) -> None:
        context = self._context
        request = self._client.encode("findnode", requests.encode_key_args(context.id))
        # Retransmitted once: a lost datagram should not cost a whole attempt.
        rto = context.params.rpc_timeout / 3
        min_bytes = padded_bytes(endpoint)
        alias = self._liveliness.versions.alias_at(endpoint)
        options = CallOptions(
            None, _ignore_late, rto, min_bytes, alias, is_authorized=is_authorized
        )
        self._client.send(endpoint, None, request, self._on_done, options)
        self.hold()
        context.stats.calls_by_purpose[Purpose.JOIN] += 1

    def wait(self, timeout: float) -> list[Contact] | None:
        """Block until the first reply, and return its contacts.

        Return None if no address replies, or not within ``timeout`` seconds.
        """
        self.release()
        try:
            return self._first_reply.get(timeout=timeout)
        except Timeout:
            return None

    def _on_done(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        try:
            versions = self._liveliness.versions
            if isinstance(result, list) and versions.is_alias_refused_at(call.endpoint, result):
                self._send_findnode(call.endpoint, is_authorized=True)  # it has replied
            elif isinstance(result, list) and call.contact is not None:
                pool, families = self._context.pool, self._context.address_families
                listed = replies.decode_findnode_reply(result, pool, families)
                is_v10 = replies.is_v10_form(result)
                versions.record_form(call.contact, is_v10=is_v10, listed=listed)
                self._first_reply.set(self._client.gate.select_named(call.endpoint, listed))
        except WireError as error:
            self._client.count_malformed_reply(error)
        self.release()


def _ignore_late(_: PendingCall) -> None:
    """A late reply is waited for."""
