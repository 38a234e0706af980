"""What a node in a thread of its own offers: the operations of ``Node``, given once.

``ThreadedNode`` and ``AsyncNode`` have them from here, and differ in how they wait.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from kademlua.bridges.hub_thread import HubThread
from kademlua.core.contact import Contact, Endpoint
from kademlua.core.params import Params
from kademlua.node.node import Node

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class Blocks:
    """Marks a host of which an operation blocks and returns its result."""


class Awaits:
    """Marks a host of which an operation is a coroutine."""


class Operation(Generic[_P, _R_co]):
    """What type checkers see of an operation; at run time it is a function."""

    @overload
    def __get__(self, host: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, host: Blocks, kind: type) -> Callable[_P, _R_co]: ...
    @overload
    def __get__(self, host: Awaits, kind: type) -> Callable[_P, Coroutine[Any, Any, _R_co]]: ...
    def __get__(self, host: object, kind: type) -> Callable[..., Any]:
        """The operation of one host."""
        raise NotImplementedError


def operation(
    function: Callable[Concatenate[Node, _P], _R], *, is_last: bool = False
) -> Operation[_P, _R]:
    """A method of ``Node`` as one of its hosts: made in its thread, waited for as they do.

    After the last one the thread ends.
    """

    @functools.wraps(function)
    def handed_over(host: HostedNode, /, *args: Any, **kwargs: Any) -> Any:
        hand_over = host._finish if is_last else host._hand_over
        return hand_over(function, args, kwargs)

    handed_over.__qualname__ = f"HostedNode.{function.__name__}"
    return cast("Operation[_P, _R]", handed_over)


def _made_as(
    maker: Callable[Concatenate[Node, _P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _P], None]]:
    """Give ``__init__`` the arguments of another."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, _P], None]:
        return functools.wraps(maker)(init)

    return decorate


class HostedNode:
    """A node and its thread."""

    @_made_as(Node.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._node = Node(*args, **kwargs)
        self._thread = HubThread(f"kademlua-{self._node.id.hex()[:8]}", self._node.close)

    def _hand_over(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Have ``function(node, *args, **kwargs)`` called in the thread; its result."""
        raise NotImplementedError

    def _finish(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The same, and then end the thread, and wait until it is gone. In a forked child there
        is nothing to finish."""
        raise NotImplementedError

    # What it is. Nothing of this waits.

    @property
    def id(self) -> bytes:
        """Its 20 bytes."""
        return self._node.id

    @property
    def contact(self) -> Contact:
        """Its address, port and id; ValueError while it has port 0 and is not started.

        Where it is bound to all addresses (``0.0.0.0``, ``::``) it is the one at which others
        see it, as soon as several networks have told it.
        """
        return self._node.contact

    @property
    def local(self) -> Endpoint:
        """The address and port that it is bound to."""
        return self._node.local

    @property
    def reachable(self) -> bool | None:
        """Whether others reach it unasked, as several attempts have shown; None while that is
        not known, or does not matter: among private addresses, and for a client."""
        return self._node.reachable

    @property
    def params(self) -> Params:
        """Its parameters."""
        return self._node.params

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._node.closed

    @property
    def joined(self) -> bool:
        """Whether the node is in a network; one without bootstrap addresses always is."""
        return self._node.joined

    # What it does: one line for each method of Node.

    start = operation(Node.start)
    close = operation(Node.close, is_last=True)
    wait_joined = operation(Node.wait_joined)
    wait_closed = operation(Node.wait_closed)
    stats = operation(Node.stats)
    network_size = operation(Node.network_size)
    call = operation(Node.call)
    ping = operation(Node.ping)
    is_alive = operation(Node.is_alive)
    register = operation(Node.register)
    meet = operation(Node.meet)
    find_node = operation(Node.find_node)
    find_value = operation(Node.find_value)
    add = operation(Node.add)
    overwrite = operation(Node.overwrite)
    publish = operation(Node.publish)
    unpublish = operation(Node.unpublish)
    published = operation(Node.published)
    remove = operation(Node.remove)
    store = operation(Node.store)
    put_immutable = operation(Node.put_immutable)
    get_immutable = operation(Node.get_immutable)
    put_signed = operation(Node.put_signed)
    get_signed = operation(Node.get_signed)
    observe = operation(Node.observe)
    unobserve = operation(Node.unobserve)
