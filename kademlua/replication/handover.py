"""Leaving: what a node hands over before it ends, and its farewell to those who know it."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event
from gevent.pool import Pool

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import BadArguments, KademluaError
from kademlua.core.ids import to_int
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.replication.transfer import ValueTransfer
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

_CONCURRENCY = 64
"""Keys handed over at a time: there is not much time."""
_MAX_FALLBACKS = 4
"""Others who may take the values in place of one that is silent."""


class Handover:
    """The end of a node in good order; and what others are told of it."""

    __slots__ = (
        "_client",
        "_context",
        "_finished",
        "_liveliness",
        "_local_int",
        "_store",
        "_table",
        "_transfer",
        "_unplaced",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        transfer: ValueTransfer,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._transfer = transfer
        self._table = context.table
        self._store = context.store
        self._local_int = to_int(context.id)
        self._finished: Event | None = None
        """While it hands over."""
        self._unplaced = 0
        """Keys that nobody took."""

    def run(self) -> None:
        """Hand over, in ``Params.handover_timeout`` at most, and say farewell; blocks so long."""
        if len(self._table):
            self._send_leave_notices(self._hand_over())

    def abort(self) -> None:
        """Hand over no more: let ``run`` come to its end now."""
        if self._finished is not None:
            self._finished.set()

    def _hand_over(self) -> bool:
        """Whether everything that had to be was taken by others."""
        timeout = self._context.params.handover_timeout
        if not len(self._store) or not timeout:
            return not len(self._store)
        self._finished = finished = Event()
        greenlet: Greenlet[..., bool] = gevent.spawn(self._push_all)
        greenlet.link(lambda _: finished.set())
        finished.wait(timeout)
        greenlet.kill()
        return greenlet.value is True

    def _push_all(self) -> bool:
        """Give each key; whether all were taken."""
        pool = Pool(_CONCURRENCY)
        try:
            for key in self._store.keys():  # noqa: SIM118 - it is no dictionary
                pool.spawn(self._push_key, key)
            pool.join()
        finally:
            pool.kill()
        return not self._unplaced

    def _push_key(self, key: bytes) -> None:
        contacts = self._replacements(key)
        try:
            if self._transfer.push(key, contacts[:1], contacts[1:], is_rate_limited=False):
                return
        except KademluaError as error:
            self._context.log.info("a value could not be handed over: %s", error)
        self._unplaced += 1

    def _replacements(self, key: bytes) -> list[Contact]:
        """Who takes this node's place among the holders of a key, and who may in its stead.
        Where all others that it knows should hold it already: one of them, to be sure."""
        replicas = self._context.params.replicas
        nearest = self._table.closest(key, replicas + _MAX_FALLBACKS)
        is_v10 = self._liveliness.is_v10  # they would keep it as this node's
        nearest = [contact for contact in nearest if not is_v10(contact)]
        others_suffice = len(nearest) >= replicas
        if others_suffice and is_replica(self._local_int, to_int(key), nearest, replicas):
            return nearest[replicas - 1 :]
        return nearest[: 1 + _MAX_FALLBACKS]

    def _send_leave_notices(self, has_handed_over: bool) -> None:
        request = self._client.encode(
            "leave", requests.encode_leave_args(is_handed_over=has_handed_over)
        )
        try:
            for contact in list(self._table):
                self._client.send(contact.endpoint, contact, request, _ignore_reply)
                self._context.stats.calls_by_purpose[Purpose.LEAVE] += 1
        except KademluaError as error:  # more than may be in flight: they will notice
            self._context.log.info("no farewell to all: %s", error)

    def handle_leave(self, request: Request, endpoint: Endpoint) -> bytes:
        """The RPC leave: its sender says that it ends now."""
        has_handed_over = request.args[0] if request.args else 0
        if type(has_handed_over) is not int:
            raise BadArguments("whether all was handed over is a number")
        sender = self._context.contact_for(request.sender_id, endpoint)
        if request.is_validated:  # a stranger draws one ping, as with any request
            self._liveliness.on_leave(sender, has_handed_over=has_handed_over == 1)
        return replies.LEAVE_OK


def _ignore_reply(_: PendingCall, result: list[Any] | KademluaError) -> None:
    """The node is gone before the answer comes."""
