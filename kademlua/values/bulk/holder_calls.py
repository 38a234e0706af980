"""HolderCalls: the requests of a bulk operation to holders that lookups found."""

from __future__ import annotations

from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, TooManyCalls
from kademlua.core.pending_calls import PendingCall
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions, EncodedRequest
from kademlua.rpc.client import RpcClient

_MAX_REMEMBERED: Final = 4_096
_MIN_RTO: Final = 0.1
"""Lower bound of the RTO of a request, in seconds: many requests queue up at the callee."""


class HolderCalls:
    """Calls holders, and remembers those without the RPC for several keys."""

    __slots__ = ("_client", "_liveliness", "_without_rpc")

    def __init__(self, client: RpcClient, liveliness: LivelinessManager) -> None:
        self._client = client
        self._liveliness = liveliness
        self._without_rpc: dict[bytes, None] = {}
        """Ids of holders without the RPC; the oldest are forgotten."""

    def has_rpc(self, holder: Contact) -> bool:
        """Return whether a holder may have the RPC for several keys."""
        is_v10 = self._liveliness.versions.is_v10(holder)
        return not is_v10 and holder.id not in self._without_rpc

    def remember_without_rpc(self, holder: Contact) -> None:
        """Remember a holder that answered that it has no such RPC."""
        self._without_rpc[holder.id] = None
        if len(self._without_rpc) > _MAX_REMEMBERED:
            del self._without_rpc[next(iter(self._without_rpc))]

    def call(self, holder: Contact, request: EncodedRequest) -> list[Any] | KademluaError:
        """Send a request, block this greenlet, and return the result or the error.

        The callee has ``Params.rpc_timeout`` to reply: it may be busy with the other requests.
        """
        outcome: AsyncResult[list[Any] | KademluaError] = AsyncResult()
        liveliness = self._liveliness
        # The holder may validate this address before it replies.
        patience = 1 if liveliness.is_validated_at(holder) else 2
        rto = patience * liveliness.rto_estimator.rto_for(holder, _MIN_RTO)
        alias = liveliness.versions.alias_for(holder)
        options = CallOptions(None, _on_late, rto, 0, alias)

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            outcome.set(result)

        try:
            self._client.send(holder.endpoint, holder, request, on_done, options)
        except (TooManyCalls, NodeClosed) as error:
            return error
        result = outcome.get()
        assert result is not None
        return result


def _on_late(_: PendingCall) -> None:
    """Do nothing: the client retransmits."""
