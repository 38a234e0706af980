"""The RPCs that a node answers: those of the protocol, and those of its program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Pool

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import BadArguments
from kademlua.core.ids import is_id, to_int
from kademlua.core.reasons import DropReason
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import HEADER_BYTES, Request
from kademlua.rpc.address_validation import AddressValidator
from kademlua.runtime.context import Context
from kademlua.values.store_handlers import StoreHandlers

RpcFunction = Callable[..., Any]
"""Called with the sender's Contact and the arguments as they were decoded. What it returns
is bencoded: a tuple as several return values, None as none, anything else as one."""

_RequestHandler = Callable[[Request, Endpoint], bytes | None]
"""Gives a payload, or None where it answers later."""

_TOKEN_ARGUMENT = {b"store": 3, b"remove": 2, b"lacks": 1 << 30, b"reach": 1 << 30}
"""Which argument is the token of the RPCs that only verified senders may call; lacks and reach have
none."""


_RPC_NAMES = {
    name.encode(): name
    for name in (
        *("ping", "findnode", "findvalue", "store", "getsocket"),
        *("remove", "leave", "lacks", "reach", "reached"),
    )
}
"""The protocol's RPCs as they are counted."""


class RpcServer:
    """Answers requests; each of the protocol's at once, in the event loop's greenlet."""

    def __init__(
        self, context: Context, validator: AddressValidator, tombstones: Tombstones
    ) -> None:
        self._context = context
        self._validator = validator
        self.store_handlers = store_handlers = StoreHandlers(context, tombstones, self.reply_later)
        self._local_int = to_int(context.id)
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._stats = context.stats
        self._builtins: dict[bytes, _RequestHandler] = {
            b"ping": self._handle_ping,
            b"findnode": self._handle_findnode,
            b"findvalue": self._handle_findvalue,
            b"store": store_handlers.handle_store,
            b"getsocket": self._handle_getsocket,
            b"remove": store_handlers.handle_remove,
        }
        self._registered: dict[bytes, tuple[RpcFunction, bool]] = {}
        self._greenlets: Pool | None = None

    def add_builtin(self, name: bytes, handler: _RequestHandler) -> None:
        """Answer another RPC of the protocol, at once, with the payload that ``handler`` gives."""
        self._builtins[name] = handler

    def register(self, name: str, function: RpcFunction, *, blocking: bool) -> None:
        """Answer the RPC ``name`` with a function; ValueError where the name is taken,
        TypeError for a coroutine function.

        A ``blocking`` one runs in a greenlet of its own. RpcRefused, or any other
        exception, answers 131.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError("a coroutine function has no loop to run in here")
        encoded = name.encode()
        if encoded in self._builtins or encoded in self._registered:
            raise ValueError(f"an RPC named {name!r} is answered already")
        self._registered[encoded] = (function, blocking)

    def close(self) -> None:
        """End the handlers that still run, but for one that closes its own node."""
        for greenlet in list(self._greenlets or ()):
            if greenlet is not gevent.getcurrent():
                greenlet.kill()

    def dispatch(self, request: Request, endpoint: Endpoint) -> None:
        """Answer a request, now or from a greenlet of its own."""
        name = request.name
        handler = self._builtins.get(name)
        if handler is not None:
            self._stats.requests_by_rpc[_RPC_NAMES[name]] += 1
            if name in _TOKEN_ARGUMENT:
                self._authorize_write(request, endpoint, handler)
            else:
                self._run_handler(request, endpoint, handler)
            return
        registered = self._registered.get(name)
        if registered is None:
            self._send_error(request, endpoint, packets.NO_SUCH_RPC)
            return
        function, blocking = registered
        self._stats.requests_by_rpc[name.decode()] += 1

        def call_function(request: Request, endpoint: Endpoint) -> bytes:
            sender = self._context.contact_for(request.sender_id, endpoint)
            return _encode_result(function(sender, *request.args))

        if not blocking:
            self._run_handler(request, endpoint, call_function)
        else:
            self._run_in_greenlet(request, endpoint, call_function)

    def _authorize_write(
        self, request: Request, endpoint: Endpoint, handler: _RequestHandler
    ) -> None:
        """Store or remove, once it is sure that the sender is where he seems to be."""
        validator = self._validator
        if not validator.allow_write(request, endpoint):
            return
        if request.is_validated or validator.accept_token(
            request,
            endpoint,
            _argument(request, 0),
            _argument(request, _TOKEN_ARGUMENT[request.name]),
        ):
            self._run_handler(request, endpoint, handler)
            return

        def resume() -> None:
            request.mark_validated()
            self._run_handler(request, endpoint, handler)

        validator.defer(request, endpoint, validator.memory_size(request), resume)

    def _run_in_greenlet(
        self, request: Request, endpoint: Endpoint, handler: _RequestHandler
    ) -> None:
        """Answer in a greenlet of its own, if one may be had: strangers get half of them."""
        if self._greenlets is None:
            self._greenlets = Pool(self._params.max_handlers)
        reserved = 0 if request.is_validated else self._params.max_handlers // 2
        if self._greenlets.free_count() > reserved:
            self._greenlets.spawn(self._run_handler, request, endpoint, handler)
        else:
            self._stats.dropped[DropReason.BUSY] += 1

    def _run_handler(self, request: Request, endpoint: Endpoint, handler: _RequestHandler) -> None:
        try:
            payload = handler(request, endpoint)
            if payload is None:
                return
            datagram = packets.encode_response(self._context.id, request.rpc_id, payload)
        except BadArguments:
            self._send_error(request, endpoint, packets.RPC_RAISED)
        except Exception:  # whatever a handler raises is answered with 131
            self._context.log.info("the RPC %r raised", request.name[:60], exc_info=True)
            self._send_error(request, endpoint, packets.RPC_RAISED)
        else:
            if len(datagram) <= request.reply_budget:
                self._send(datagram, endpoint)
            else:  # so many bytes go to nobody who has not shown that he is there
                self._validator.defer(
                    request, endpoint, len(datagram), lambda: self._send(datagram, endpoint)
                )

    def _send_error(self, request: Request, endpoint: Endpoint, code: int) -> None:
        name = request.name
        is_known = name in self._builtins or name in self._registered
        self._stats.errors_out_by_rpc[name.decode() if is_known else "unknown"] += 1
        self._send(packets.encode_error(self._context.id, request.rpc_id, code), endpoint)

    def _send(self, datagram: bytes, endpoint: Endpoint) -> None:
        self._stats.packets_out += 1
        self._stats.bytes_out += len(datagram)
        if not self._context.transport.send(datagram, endpoint):
            self._stats.dropped[DropReason.NOT_SENT] += 1

    # The protocol's own; each returns a payload.

    def _handle_ping(self, request: Request, endpoint: Endpoint) -> bytes:
        if self._context.is_client and request.version:
            return replies.CLIENT_PONG
        return replies.PONG

    def _handle_findnode(self, request: Request, endpoint: Endpoint) -> bytes:
        key = request.args[0] if request.args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDNODE
        version = request.version
        contacts = self._closest_for_version(key, request.sender_id, version)
        token = self._validator.issue_token(request, endpoint, key)
        reply = replies.encode_findnode_reply(contacts, version, token)
        budget = self._reply_budget(request)
        if len(reply) > budget:
            self._validator.request_validation(request, endpoint)
            overhead = len(reply) - replies.encoded_size(contacts, version)
            contacts = self._trim_to_budget(contacts, key, version, budget - overhead)
            reply = replies.encode_findnode_reply(contacts, version, token)
        return reply

    def _reply_budget(self, request: Request) -> int:
        """Bytes that the payload of an answer may have."""
        return min(request.reply_budget, self._params.max_reply_bytes) - HEADER_BYTES

    def _trim_to_budget(
        self, contacts: list[Contact], key: bytes, version: int, budget: int
    ) -> list[Contact]:
        """Those nearest to a key that have room."""
        target_int = to_int(key)
        contacts.sort(key=lambda contact: contact.id_int ^ target_int)
        return replies.take_fitting(contacts, version, budget)

    def _handle_findvalue(self, request: Request, endpoint: Endpoint) -> bytes:
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key):
            return replies.BAD_KEY_FINDVALUE
        limit = args[1] if len(args) > 1 else 1
        version = request.version
        offset = args[2] if version and len(args) > 2 else 0
        if type(limit) is not int or type(offset) is not int or offset < 0:
            raise BadArguments("howmany is a number")
        if offset:  # a further page: the contacts were on the first
            values = self._store.get(key, offset + limit, self._context.clock())[offset:]
            contacts: list[Contact] = []
        else:
            values = self._store.get(key, limit, self._context.clock())
            contacts = (
                self._closest_for_version(key, request.sender_id, version)
                if version
                else self._closest_v10(key)
            )
        token = self._validator.issue_token(request, endpoint, key)
        budget = self._reply_budget(request)
        # Of one key there may be megabytes: they are not joined to see that they don't fit.
        is_oversized = len(values) > 1 and sum(map(len, values)) > budget
        reply = (
            b""
            if is_oversized
            else replies.encode_findvalue_reply(contacts, values, version, token)
        )
        if is_oversized or len(reply) > budget:
            self._validator.request_validation(request, endpoint)
            budget -= replies.FINDVALUE_OVERHEAD_BYTES
            first_bytes = len(values[0]) if values else 0
            if (
                budget > first_bytes
            ):  # else it goes alone over all bounds: the contacts don't matter
                contacts = self._trim_to_budget(contacts, key, version, budget - first_bytes)
                budget -= replies.encoded_size(contacts, version)
            page = _take_fitting(values, budget)
            remaining = len(values) - len(page)
            reply = replies.encode_findvalue_reply(contacts, page, version, token, remaining)
        return reply

    def _closest_v10(self, key: bytes) -> list[Contact]:
        """What 1.0 tells in a findvalue: contacts that are no farther from the key than
        itself, as far as the bucket number tells; the asker may be among them."""
        target_int = to_int(key)
        bits = (self._local_int ^ target_int).bit_length()
        closest = self._closest_for_version(key, b"", version=0)
        return [c for c in closest if (c.id_int ^ target_int).bit_length() <= bits]

    def _closest_for_version(self, key: bytes, exclude: bytes, version: int) -> list[Contact]:
        """The k closest contacts that a peer of a version can read of, without one id."""
        k = self._params.k
        if version == 0 and self._context.address_families[1]:  # 1.0 knows no IPv6
            nearest = self._table.closest(key, len(self._table), exclude)
            return [contact for contact in nearest if not contact.is_ipv6][:k]
        return self._table.closest_unsorted(key, k, exclude)

    def reply_later(self, request: Request, endpoint: Endpoint, payload: bytes) -> None:
        """Answer a request whose handler gave nothing at first."""
        self._send(packets.encode_response(self._context.id, request.rpc_id, payload), endpoint)

    def _handle_getsocket(self, request: Request, endpoint: Endpoint) -> bytes:
        return replies.encode_getsocket_reply(*endpoint)


def _argument(request: Request, index: int) -> Any:
    return request.args[index] if len(request.args) > index else None


def _take_fitting(values: list[bytes], budget: int) -> list[bytes]:
    """As many values from the front as have so many bytes, one at least."""
    for count, value in enumerate(values):
        budget -= len(value)
        if budget < 0 and count > 0:
            return values[:count]
    return values


def _encode_result(result: object) -> bytes:
    """The payload of what a registered function returned; TypeError where it has no form."""
    if result is None:
        return b"le"
    values = result if isinstance(result, tuple) else (result,)
    return b"l%be" % requests.encode_any_args(values)
