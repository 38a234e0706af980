"""Calls: single RPCs to another node, and RPCs that the program answers."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.results import Pong
from kademlua.core.wire import requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.node.lifecycle import Lifecycle
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.rpc.server import RpcFunction, RpcServer
from kademlua.runtime.context import Context


class Calls:
    """The part of a node that deals with single RPCs."""

    __slots__ = ("_client", "_context", "_lifecycle", "_liveliness", "_server")

    def __init__(
        self,
        *,
        context: Context,
        lifecycle: Lifecycle,
        client: RpcClient,
        server: RpcServer,
        liveliness: LivelinessManager,
    ) -> None:
        self._context = context
        self._lifecycle = lifecycle
        self._client = client
        self._server = server
        self._liveliness = liveliness

    def call(
        self, to: Contact | Endpoint, name: str, *args: Any, timeout: float | None = None
    ) -> list[Any]:
        """Call an RPC of another node and return its return values.

        Blocks this greenlet until the reply, at most ``timeout`` seconds, default
        ``Params.rpc_timeout``. Arguments are ints, bytes, text, lists and dicts.

        Raises:
            RpcTimeout: no reply in time.
            RpcFailed: the peer answered with an error.
            WireError: the reply is malformed.
            TooManyCalls: ``Params.max_calls`` calls are in flight.
            NodeClosed: this node is not running.
            TypeError, ValueError: the arguments cannot be encoded.
        """
        return self._call(to, name, requests.encode_any_args(args), timeout)[1]

    def ping(self, to: Contact | Endpoint, timeout: float | None = None) -> Pong:
        """Ping a node once and return its contact and the round-trip time: 0 for this node itself.

        Raises:
            RpcTimeout, RpcFailed, WireError, TooManyCalls, NodeClosed: see ``call``.
        """
        self._lifecycle.require_open()
        own = self._context.local_contact
        if to in (own, own.endpoint):
            return Pong(own, 0.0)
        started_at = self._context.clock()
        contact, _ = self._call(to, "ping", b"", timeout)
        return Pong(contact, self._context.clock() - started_at)

    def is_alive(self, contact: Contact, *, strong: bool = False) -> bool:
        """Return whether a contact is alive.

        A packet within ``Params.freshness_window`` seconds is enough. Otherwise, and always
        with ``strong``, the node pings the contact, up to three times.
        """
        if not strong and self._liveliness.is_fresh(contact):
            return True
        self._lifecycle.require_open()
        return self._liveliness.is_alive(contact)

    def register(self, name: str, function: RpcFunction, *, blocking: bool = False) -> None:
        """Answer the RPC ``name`` with ``function(sender, *args)``.

        ``sender`` is a Contact. The reply holds what the function returns: a tuple as several
        values, None as none. An exception is answered with error 131. A function that waits
        must be ``blocking``; it then runs in a greenlet of its own.

        Raises:
            ValueError: the name is in use.
            TypeError: the function is a coroutine function.
        """
        self._server.register(name, function, blocking=blocking)

    def _call(
        self, to: Contact | Endpoint, name: str, args: bytes, timeout: float | None
    ) -> tuple[Contact, list[Any]]:
        self._lifecycle.require_open()
        versions = self._liveliness.versions
        if isinstance(to, Contact):
            options = CallOptions(timeout, alias=versions.alias_for(to), is_authorized=True)
            return self._client.call(to.endpoint, to, name, args, options)
        options = CallOptions(timeout, alias=versions.alias_at(to), is_authorized=True)
        return self._client.call(to, None, name, args, options)
