"""The RPC server: dispatches requests to the handlers that subsystems and programs register."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.pool import Pool

from kademlua.core.contact import Endpoint
from kademlua.core.errors import BadArguments
from kademlua.core.reasons import DropReason
from kademlua.core.wire import packets, requests
from kademlua.core.wire.packets import VALIDATED, Request
from kademlua.core.wire.rpc_table import RPCS, Rpc
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.request_gate import Clearance, RequestGate
from kademlua.runtime.context import Context

RpcFunction = Callable[..., Any]
"""Called with the sender's Contact and the decoded arguments. Its result is bencoded: a tuple as
several return values, None as none, anything else as one."""

RequestHandler = Callable[[Request, Endpoint], bytes | None]
"""Returns the payload of a reply, or None if it replies later."""


class _Builtin:
    """An RPC of the protocol, and its handler."""

    __slots__ = ("handler", "rpc")

    def __init__(self, rpc: Rpc, handler: RequestHandler) -> None:
        self.rpc = rpc
        self.handler = handler


class RpcServer:
    """Answers requests. Handlers of the protocol run in the event loop's greenlet."""

    def __init__(self, context: Context, gate: RequestGate, validator: AddressValidator) -> None:
        self._context = context
        self._gate = gate
        self._validator = validator
        self._params = context.params
        self._stats = context.stats
        self._builtins: dict[bytes, _Builtin] = {}
        self._registered: dict[bytes, tuple[RpcFunction, bool]] = {}
        self._greenlets: Pool | None = None

    def add_handlers(self, handlers: Mapping[bytes, RequestHandler]) -> None:
        """Answer RPCs of the protocol, by name. No handler may block."""
        for name, handler in handlers.items():
            self._builtins[name] = _Builtin(RPCS[name], handler)

    def register(self, name: str, function: RpcFunction, *, blocking: bool) -> None:
        """Answer the RPC ``name`` with a function of the program.

        A ``blocking`` function runs in a greenlet of its own. An exception is answered with
        error 131.

        Raises:
            ValueError: the name is in use.
            TypeError: the function is a coroutine function.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError("a coroutine function has no event loop here; pass a function")
        encoded = name.encode()
        if encoded in self._builtins or encoded in self._registered:
            raise ValueError(f"an RPC named {name!r} is registered already")
        self._registered[encoded] = (function, blocking)

    def close(self) -> None:
        """Kill the handlers that still run, except one that closes its own node."""
        for greenlet in list(self._greenlets or ()):
            if greenlet is not gevent.getcurrent():
                greenlet.kill()

    def dispatch(self, request: Request, endpoint: Endpoint) -> None:
        """Answer a request, now or from a greenlet of its own."""
        name = request.name
        builtin = self._builtins.get(name)
        if builtin is not None:
            rpc, handler = builtin.rpc, builtin.handler
            self._stats.requests_by_rpc[rpc.name] += 1
            if not rpc.needs_validation or self._is_cleared(request, endpoint, rpc, handler):
                self._run_handler(request, endpoint, handler)
            return
        registered = self._registered.get(name)
        if registered is None:
            self._send_error(request, endpoint, packets.NO_SUCH_RPC)
            return
        function, blocking = registered
        self._stats.requests_by_rpc[name.decode()] += 1

        def call_function(request: Request, endpoint: Endpoint) -> bytes:
            sender = self._context.sender_of(request, endpoint)
            return _encode_result(function(sender, *request.args))

        if blocking:
            self._run_in_greenlet(request, endpoint, call_function)
        else:
            self._run_handler(request, endpoint, call_function)

    def reply_later(self, request: Request, endpoint: Endpoint, payload: bytes) -> None:
        """Answer a request whose handler returned None."""
        self._send(packets.encode_response(self._context.id, request.rpc_id, payload), endpoint)

    def _is_cleared(
        self, request: Request, endpoint: Endpoint, rpc: Rpc, handler: RequestHandler
    ) -> bool:
        """Return whether a request is served now; defer it if its sender must answer a ping."""
        clearance = self._gate.clear(request, endpoint, rpc)
        if clearance is Clearance.DEFERRED:

            def resume() -> None:
                request.permit = VALIDATED
                request.received_at = self._context.clock()
                self._run_handler(request, endpoint, handler)

            size = self._validator.memory_size(request)
            self._validator.defer(request, endpoint, size, resume)
        return clearance is Clearance.SERVED

    def _run_in_greenlet(
        self, request: Request, endpoint: Endpoint, handler: RequestHandler
    ) -> None:
        """Run a handler in a greenlet, or drop the request if none is free.

        Unvalidated senders get half of the greenlets.
        """
        if self._greenlets is None:
            self._greenlets = Pool(self._params.max_handlers)
        reserved = 0 if request.permit.is_validated else self._params.max_handlers // 2
        if self._greenlets.free_count() > reserved:
            self._greenlets.spawn(self._run_handler, request, endpoint, handler)
        else:
            self._stats.dropped[DropReason.BUSY] += 1

    def _run_handler(self, request: Request, endpoint: Endpoint, handler: RequestHandler) -> None:
        try:
            payload = handler(request, endpoint)
            if payload is None:
                return
            datagram = packets.encode_response(self._context.id, request.rpc_id, payload)
        except BadArguments:
            self._send_error(request, endpoint, packets.RPC_RAISED)
        except Exception:  # any defect of a handler is answered with 131
            self._context.log.info("the RPC %r raised", request.name[:60], exc_info=True)
            self._send_error(request, endpoint, packets.RPC_RAISED)
        else:
            if len(datagram) <= request.permit.reply_budget:
                self._send(datagram, endpoint)
            else:  # the amplification limit holds until the sender's address is validated
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


def _encode_result(result: object) -> bytes:
    """Encode what a registered function returned; TypeError if it cannot be bencoded."""
    if result is None:
        return b"le"
    values = result if isinstance(result, tuple) else (result,)
    return b"l%be" % requests.encode_any_args(values)
