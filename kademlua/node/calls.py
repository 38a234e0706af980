"""NodeCalls: single RPCs, to another node and by others."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.results import Pong
from kademlua.core.wire import requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.node.node_view import NodeView
from kademlua.rpc.server import RpcFunction, RpcServer


class NodeCalls(NodeView):
    """The part of ``Node`` that is for single RPCs."""

    _handlers: RpcServer
    _liveliness: LivelinessManager

    def call(
        self, to: Contact | Endpoint, name: str, *args: Any, timeout: float | None = None
    ) -> list[Any]:
        """Call an RPC and block until its answer: the list of its return values.

        Arguments are ints, bytes, text, lists and dicts. Raises RpcTimeout, RpcFailed,
        WireError, TooManyCalls, NodeClosed; TypeError and ValueError for arguments that
        can't be sent.
        """
        return self._call(to, name, requests.encode_any_args(args), timeout)[1]

    def ping(self, to: Contact | Endpoint, timeout: float | None = None) -> Pong:
        """Ping once: who answers there, and the round trip. Raises as ``call`` does."""
        began = self._context.clock()
        contact, _ = self._call(to, "ping", b"", timeout)
        return Pong(contact, self._context.clock() - began)

    def is_alive(self, contact: Contact, *, strong: bool = False) -> bool:
        """Whether a contact lives: heard from lately, or else (always, with ``strong``)
        answering a ping now, in three tries."""
        if not strong and self._liveliness.is_fresh(contact):
            return True
        self._require_open()
        return self._liveliness.is_alive(contact)

    def register(self, name: str, function: RpcFunction, *, blocking: bool = False) -> None:
        """Answer the RPC ``name`` with ``function(sender, *args)``.

        ``sender`` is a Contact. A tuple goes back as several return values, None as none.
        A function that waits for anything must be ``blocking``: it gets a greenlet of its
        own. Whatever it raises is answered with 131. ValueError for a name that is taken,
        TypeError for a coroutine function.
        """
        self._handlers.register(name, function, blocking=blocking)

    def _call(
        self, to: Contact | Endpoint, name: str, args: bytes, timeout: float | None
    ) -> tuple[Contact, list[Any]]:
        self._require_open()
        if isinstance(to, Contact):
            return self._caller.call(to.endpoint, to, name, args, timeout)
        return self._caller.call(to, None, name, args, timeout)
