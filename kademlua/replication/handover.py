"""Leaving: what a node hands over before it ends, and its farewell to those who know it."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event
from gevent.pool import Pool

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, RpcRefused
from kademlua.core.ids import to_int
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import Purpose
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.replication.transfer import HandingOn
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context

_AT_ONCE = 64
"""Keys handed over at a time: there is not much time."""
_SPARES = 4
"""Others who may take the values in place of one that is silent."""


class Leaving:
    """The end of a node in good order; and what others are told of it."""

    __slots__ = (
        "_caller",
        "_context",
        "_handing",
        "_is_over",
        "_left",
        "_liveliness",
        "_own",
        "_store",
        "_table",
    )

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        handing: HandingOn,
    ) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._handing = handing
        self._table = context.table
        self._store = context.store
        self._own = to_int(context.id)
        self._is_over: Event | None = None
        """While it hands over."""
        self._left = 0
        """Keys that nobody took."""

    def leave(self) -> None:
        """Hand over, in ``Params.leave_timeout`` at most, and say farewell; blocks so long."""
        if len(self._table):
            self._say_farewell(self._hand_over())

    def cut(self) -> None:
        """Hand over no more: let ``leave`` come to its end now."""
        if self._is_over is not None:
            self._is_over.set()

    def _hand_over(self) -> bool:
        """Whether everything that had to be was taken by others."""
        seconds = self._context.params.leave_timeout
        if not len(self._store) or not seconds:
            return not len(self._store)
        self._is_over = is_over = Event()
        giver: Greenlet[..., bool] = gevent.spawn(self._give_all)
        giver.link(lambda _: is_over.set())
        is_over.wait(seconds)
        giver.kill()
        return giver.value is True

    def _give_all(self) -> bool:
        """Give each key; whether all were taken."""
        pool = Pool(_AT_ONCE)
        try:
            for key in self._store.keys():  # noqa: SIM118 - it is no dictionary
                pool.spawn(self._give, key)
            pool.join()
        finally:
            pool.kill()
        return not self._left

    def _give(self, key: bytes) -> None:
        contacts = self._successors(key)
        try:
            if self._handing.give(key, contacts[:1], contacts[1:], is_paced=False):
                return
        except KademluaError as error:
            self._context.log.info("a value could not be handed over: %s", error)
        self._left += 1

    def _successors(self, key: bytes) -> list[Contact]:
        """Who takes this node's place among the holders of a key, and who may in its stead.
        Where all others that it knows should hold it already: one of them, to be sure."""
        replicas = self._context.params.replicas
        nearest = self._table.closest(key, replicas + _SPARES)
        is_original = self._liveliness.is_original  # they would keep it as this node's
        nearest = [contact for contact in nearest if not is_original(contact)]
        if len(nearest) >= replicas:
            target = to_int(key)
            if self._own ^ target < nearest[replicas - 1].number ^ target:
                return nearest[replicas - 1 :]
        return nearest[: 1 + _SPARES]

    def _say_farewell(self, has_handed_over: bool) -> None:
        question = self._caller.question("leave", requests.args_leave(has_handed_over))
        try:
            for contact in list(self._table):
                self._caller.send(contact.endpoint, contact, question, _wait_for_nobody)
                self._context.stats.caused[Purpose.LEAVE] += 1
        except KademluaError as error:  # more than may be in flight: they will notice
            self._context.log.info("no farewell to all: %s", error)

    def farewell(self, request: Request, endpoint: Endpoint) -> bytes:
        """The RPC leave: its sender says that it ends now."""
        has_handed_over = request.args[0] if request.args else 0
        if type(has_handed_over) is not int:
            raise RpcRefused("whether all was handed over is a number")
        sender = self._context.sender(request.sender_id, endpoint)
        if request.is_validated:  # a stranger draws one ping, as with any request
            self._liveliness.said_farewell(sender, has_handed_over == 1)
        return replies.FAREWELL


def _wait_for_nobody(_: Call, result: list[Any] | KademluaError) -> None:
    """The node is gone before the answer comes."""
