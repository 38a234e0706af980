"""The RPCs that a node answers: those of the protocol, and those of its program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import RpcRefused
from kademlua.core.ids import is_id, to_int
from kademlua.core.reasons import DropReason
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import HEADER_BYTES, Request
from kademlua.rpc.address_validation import Strangers
from kademlua.runtime.context import Context
from kademlua.values.store_handlers import Holder

RpcFunction = Callable[..., Any]
"""Called with the sender's Contact and the arguments as they were decoded. What it returns
is bencoded: a tuple as several return values, None as none, anything else as one."""

_Handler = Callable[[Request, Endpoint], bytes | None]
"""Gives a payload, or None where it answers later."""

_TOKEN_AT = {b"store": 3, b"remove": 2, b"lacks": 1 << 30, b"reach": 1 << 30}
"""Which argument is the token of the RPCs that only verified senders may call; lacks and reach have
none."""


_NAMES = {
    name.encode(): name
    for name in (
        *("ping", "findnode", "findvalue", "store", "getsocket"),
        *("remove", "leave", "lacks", "reach", "reached"),
    )
}
"""The protocol's RPCs as they are counted."""


class Handlers:
    """Answers requests; each of the protocol's at once, in the event loop's greenlet."""

    def __init__(self, context: Context, strangers: Strangers, tombstones: Tombstones) -> None:
        self._context = context
        self._strangers = strangers
        self.holder = holder = Holder(context, tombstones, self.answer_later)
        self._own_number = to_int(context.id)
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._stats = context.stats
        self._quick: dict[bytes, _Handler] = {
            b"ping": self._ping,
            b"findnode": self._find_node,
            b"findvalue": self._find_value,
            b"store": holder.store,
            b"getsocket": self._get_socket,
            b"remove": holder.remove,
        }
        self._registered: dict[bytes, tuple[RpcFunction, bool]] = {}
        self._greenlets: Pool | None = None

    def answer(self, name: bytes, handler: _Handler) -> None:
        """Answer another RPC of the protocol, at once, with the payload that ``handler`` gives."""
        self._quick[name] = handler

    def register(self, name: str, function: RpcFunction, *, blocking: bool) -> None:
        """Answer the RPC ``name`` with a function; ValueError where the name is taken,
        TypeError for a coroutine function.

        A ``blocking`` one runs in a greenlet of its own. RpcRefused, or any other
        exception, answers 131.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError("a coroutine function has no loop to run in here")
        encoded = name.encode()
        if encoded in self._quick or encoded in self._registered:
            raise ValueError(f"an RPC named {name!r} is answered already")
        self._registered[encoded] = (function, blocking)

    def close(self) -> None:
        """End the handlers that still run, but for one that closes its own node."""
        for greenlet in list(self._greenlets or ()):
            if greenlet is not gevent.getcurrent():
                greenlet.kill()

    def serve(self, request: Request, endpoint: Endpoint) -> None:
        """Answer a request, now or from a greenlet of its own."""
        name = request.name
        handler = self._quick.get(name)
        if handler is not None:
            self._stats.requests[_NAMES[name]] += 1
            if name in _TOKEN_AT:
                self._write(request, endpoint, handler)
            else:
                self._answer(request, endpoint, handler)
            return
        registered = self._registered.get(name)
        if registered is None:
            self._send_error(request, endpoint, packets.NO_SUCH_RPC)
            return
        function, blocking = registered
        self._stats.requests[name.decode()] += 1

        def call_function(request: Request, endpoint: Endpoint) -> bytes:
            sender = self._context.sender(request.sender_id, endpoint)
            return _encode_result(function(sender, *request.args))

        if not blocking:
            self._answer(request, endpoint, call_function)
        else:
            self._spawn(request, endpoint, call_function)

    def _write(self, request: Request, endpoint: Endpoint, handler: _Handler) -> None:
        """Store or remove, once it is sure that the sender is where he seems to be."""
        strangers = self._strangers
        if not strangers.is_one_store_more(request, endpoint):
            return
        if request.is_validated or strangers.shows(
            request, endpoint, _argument(request, 0), _argument(request, _TOKEN_AT[request.name])
        ):
            self._answer(request, endpoint, handler)
            return

        def serve() -> None:
            request.mark_validated()
            self._answer(request, endpoint, handler)

        strangers.hold(request, endpoint, strangers.size_of(request), serve)

    def _spawn(self, request: Request, endpoint: Endpoint, handler: _Handler) -> None:
        """Answer in a greenlet of its own, if one may be had: strangers get half of them."""
        if self._greenlets is None:
            self._greenlets = Pool(self._params.max_handlers)
        spared = 0 if request.is_validated else self._params.max_handlers // 2
        if self._greenlets.free_count() > spared:
            self._greenlets.spawn(self._answer, request, endpoint, handler)
        else:
            self._stats.dropped[DropReason.BUSY] += 1

    def _answer(self, request: Request, endpoint: Endpoint, handler: _Handler) -> None:
        try:
            payload = handler(request, endpoint)
            if payload is None:
                return
            datagram = packets.encode_response(self._context.id, request.rpc_id, payload)
        except RpcRefused:
            self._send_error(request, endpoint, packets.RPC_RAISED)
        except Exception:  # whatever a handler raises is answered with 131
            self._context.log.info("the RPC %r raised", request.name[:60], exc_info=True)
            self._send_error(request, endpoint, packets.RPC_RAISED)
        else:
            if len(datagram) <= request.reply_budget:
                self._send(datagram, endpoint)
            else:  # so many bytes go to nobody who has not shown that he is there
                self._strangers.hold(
                    request, endpoint, len(datagram), lambda: self._send(datagram, endpoint)
                )

    def _send_error(self, request: Request, endpoint: Endpoint, code: int) -> None:
        name = request.name
        is_ours = name in self._quick or name in self._registered
        self._stats.errors_by[name.decode() if is_ours else "unknown"] += 1
        self._send(packets.encode_error(self._context.id, request.rpc_id, code), endpoint)

    def _send(self, datagram: bytes, endpoint: Endpoint) -> None:
        self._stats.packets_out += 1
        self._stats.bytes_out += len(datagram)
        if not self._context.transport.send(datagram, endpoint):
            self._stats.dropped[DropReason.NOT_SENT] += 1

    # The protocol's own; each returns a payload.

    def _ping(self, request: Request, endpoint: Endpoint) -> bytes:
        if self._context.is_client and request.version:
            return replies.CLIENT_PONG
        return replies.PONG

    def _find_node(self, request: Request, endpoint: Endpoint) -> bytes:
        key = request.args[0] if request.args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDNODE
        version = request.version
        contacts = self._closest(key, request.sender_id, version)
        token = self._strangers.token_for(request, endpoint, key)
        reply = replies.findnode_reply(contacts, version, token)
        room = self._room(request)
        if len(reply) > room:
            self._strangers.prove(request, endpoint)
            around = len(reply) - replies.bytes_of(contacts, version)
            contacts = self._nearest_of(contacts, key, version, room - around)
            reply = replies.findnode_reply(contacts, version, token)
        return reply

    def _room(self, request: Request) -> int:
        """Bytes that the payload of an answer may have."""
        return min(request.reply_budget, self._params.max_answer_bytes) - HEADER_BYTES

    def _nearest_of(
        self, contacts: list[Contact], key: bytes, version: int, room: int
    ) -> list[Contact]:
        """Those nearest to a key that have room."""
        number = to_int(key)
        contacts.sort(key=lambda contact: contact.number ^ number)
        return replies.fitting(contacts, version, room)

    def _find_value(self, request: Request, endpoint: Endpoint) -> bytes:
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDVALUE
        howmany = args[1] if len(args) > 1 else 1
        version = request.version
        skip = args[2] if version and len(args) > 2 else 0
        if type(howmany) is not int or type(skip) is not int or skip < 0:
            raise RpcRefused("howmany is a number")
        if skip:  # a further page: the contacts were on the first
            values = self._store.get(key, skip + howmany, self._context.clock())[skip:]
            contacts: list[Contact] = []
        else:
            values = self._store.get(key, howmany, self._context.clock())
            contacts = (
                self._closest(key, request.sender_id, version) if version else self._nearer(key)
            )
        token = self._strangers.token_for(request, endpoint, key)
        room = self._room(request)
        # Of one key there may be megabytes: they are not joined to see that they don't fit.
        is_much = len(values) > 1 and sum(map(len, values)) > room
        reply = b"" if is_much else replies.findvalue_reply(contacts, values, version, token)
        if is_much or len(reply) > room:
            self._strangers.prove(request, endpoint)
            room -= replies.AROUND_FINDVALUE
            first = len(values[0]) if values else 0
            if room > first:  # else it goes alone over all bounds: the contacts don't matter
                contacts = self._nearest_of(contacts, key, version, room - first)
                room -= replies.bytes_of(contacts, version)
            page = _fitting(values, room)
            more = len(values) - len(page)
            reply = replies.findvalue_reply(contacts, page, version, token, more)
        return reply

    def _nearer(self, key: bytes) -> list[Contact]:
        """What 1.0 tells in a findvalue: contacts that are no farther from the key than
        itself, as far as the bucket number tells; the asker may be among them."""
        number = to_int(key)
        bits = (self._own_number ^ number).bit_length()
        closest = self._closest(key, b"", version=0)
        return [c for c in closest if (c.number ^ number).bit_length() <= bits]

    def _closest(self, key: bytes, but: bytes, version: int) -> list[Contact]:
        """The k closest contacts that a peer of a version can read of, without one id."""
        k = self._params.k
        if version == 0 and self._context.reach[1]:  # 1.0 knows no IPv6
            nearest = self._table.closest(key, len(self._table), but)
            return [contact for contact in nearest if not contact.is_ipv6][:k]
        return self._table.nearest(key, k, but)

    def answer_later(self, request: Request, endpoint: Endpoint, payload: bytes) -> None:
        """Answer a request whose handler gave nothing at first."""
        self._send(packets.encode_response(self._context.id, request.rpc_id, payload), endpoint)

    def _get_socket(self, request: Request, endpoint: Endpoint) -> bytes:
        return replies.getsocket_reply(*endpoint)


def _argument(request: Request, at: int) -> Any:
    return request.args[at] if len(request.args) > at else None


def _fitting(values: list[bytes], room: int) -> list[bytes]:
    """As many values from the front as have so many bytes, one at least."""
    for count, value in enumerate(values):
        room -= len(value)
        if room < 0 and count > 0:
            return values[:count]
    return values


def _encode_result(result: object) -> bytes:
    """The payload of what a registered function returned; TypeError where it has no form."""
    if result is None:
        return b"le"
    values = result if isinstance(result, tuple) else (result,)
    return b"l%be" % requests.args_any(values)
