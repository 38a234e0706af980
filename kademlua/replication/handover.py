"""Handover: a node that shuts down transfers its values and announces its departure.

The RPC ``leave`` tells the contacts in the routing table that the node is gone.
"""

from __future__ import annotations

from typing import Any, Final

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
from kademlua.runtime.time_slices import in_slices

_CONCURRENCY: Final = 64
"""Keys transferred concurrently; high, because the time is limited."""
_MAX_FALLBACKS: Final = 4
"""Contacts that may replace a recipient that times out."""


class Handover:
    """Hands over the values of a leaving node, and handles the ``leave`` of peers."""

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
        """Set when the handover ends; None if none is in progress."""
        self._unplaced = 0
        """Number of keys that no node accepted."""

    def run(self) -> None:
        """Hand over the values and announce the departure.

        Block this greenlet for up to ``Params.handover_timeout`` seconds.
        """
        if len(self._table):
            self._send_leave_notices(has_handed_over=self._hand_over())

    def abort(self) -> None:
        """Stop the handover, so that ``run`` announces the departure and returns."""
        if self._finished is not None:
            self._finished.set()

    def _hand_over(self) -> bool:
        """Transfer all values; return True if none is left without a new holder."""
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
        """Transfer each key; return True if all were accepted."""
        pool = Pool(_CONCURRENCY)
        try:
            for key in in_slices(self._store.keys(), self._context.clock):
                pool.spawn(self._push_key, key)
                gevent.sleep(0)  # its first steps belong to this time slice
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
        """Return the contact that replaces this node as a replica, followed by fallbacks.

        If this node knows fewer than ``replicas`` contacts, or is no replica itself, all of them
        should already hold the key; then the first is the closest contact.
        """
        replicas = self._context.params.replicas
        nearest = self._table.closest(key, replicas + _MAX_FALLBACKS)
        is_v10 = self._liveliness.versions.is_v10  # they ignore the owner
        nearest = [contact for contact in nearest if not is_v10(contact)]
        is_holder = is_replica(self._local_int, to_int(key), nearest, replicas)
        if is_holder and len(nearest) >= replicas:
            return nearest[replicas - 1 :]
        return nearest[: 1 + _MAX_FALLBACKS]

    def _send_leave_notices(self, *, has_handed_over: bool) -> None:
        request = self._client.encode(
            "leave", requests.encode_leave_args(is_handed_over=has_handed_over)
        )
        try:
            is_v10 = self._liveliness.versions.is_v10  # they have no RPC leave
            for contact in [each for each in self._table if not is_v10(each)]:
                self._client.send(contact.endpoint, contact, request, _ignore_reply)
                self._context.stats.calls_by_purpose[Purpose.LEAVE] += 1
        except KademluaError as error:  # too many calls in flight; peers will find out by probing
            self._context.log.info("not all contacts were told that this node leaves: %s", error)

    def handle_leave(self, request: Request, endpoint: Endpoint) -> bytes:
        """Handle leave: the sender announces that it shuts down now."""
        has_handed_over = request.args[0] if request.args else 0
        if type(has_handed_over) is not int:
            raise BadArguments("whether all was handed over is a number")
        sender = self._context.sender_of(request, endpoint)
        if (
            request.permit.is_validated
        ):  # an unvalidated sender is pinged once, as after any request
            self._liveliness.on_leave(sender, has_handed_over=has_handed_over == 1)
        return replies.LEAVE_OK


def _ignore_reply(_: PendingCall, result: list[Any] | KademluaError) -> None:
    """Ignore the reply: the node is closed before it arrives."""
