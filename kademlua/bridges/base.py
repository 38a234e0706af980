"""BridgedNode: the operations of ``Node``, defined once for ``ThreadedNode`` and ``AsyncNode``.

The two differ in how they wait for the node's thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from kademlua.bridges.hub_thread import HubThread
from kademlua.bridges.object_readers import reading_in_pool
from kademlua.bridges.thread_call import ThreadCall, ignore
from kademlua.node.node import Node
from kademlua.node.objects import Objects
from kademlua.node.operation import Operation
from kademlua.node.operations import NodeOperations

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


def bridged(
    method: Callable[Concatenate[Node, _P], _R], *, closes: bool = False
) -> Operation[_P, _R]:
    """Return a method of ``Node`` as an operation of its bridges.

    With ``closes``, the thread ends after it.
    """

    @functools.wraps(method)
    def call_in_thread(bridge: BridgedNode, /, *args: Any, **kwargs: Any) -> Any:
        submit = bridge._shutdown if closes else bridge._submit
        return submit(functools.partial(method, bridge._node, *args, **kwargs))

    call_in_thread.__qualname__ = f"BridgedNode.{method.__name__}"
    return cast("Operation[_P, _R]", call_in_thread)


class BridgedState(Generic[_R_co]):
    """A property of ``Node`` that other threads may read."""

    def __init__(self, read: Callable[[Node], _R_co]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self.__doc__ = getattr(Node, name).__doc__

    @overload
    def __get__(self, bridge: None, kind: type) -> BridgedState[_R_co]: ...
    @overload
    def __get__(self, bridge: BridgedNode, kind: type) -> _R_co: ...
    def __get__(self, bridge: BridgedNode | None, kind: type) -> BridgedState[_R_co] | _R_co:
        """Return the property's value for a bridge."""
        return self if bridge is None else self._read(bridge._node)

    def __set__(self, bridge: BridgedNode, value: object) -> None:
        """Refuse the assignment."""
        raise AttributeError("the state of a node is read-only")


def _with_signature_of(
    source: Callable[Concatenate[Node, _P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _P], None]]:
    """Give ``__init__`` the signature of another function."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, _P], None]:
        return functools.wraps(source)(init)

    return decorate


class BridgedNode(NodeOperations):
    """A node and its thread."""

    @_with_signature_of(Node.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._node = Node(*args, **kwargs)
        self._thread = HubThread(f"kademlua-{self._node.id.hex()[:8]}", self._node.close)

    def _run(self, part: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an operation of ``NodeOperations`` in the thread."""
        run = self._prepared(method)
        return self._submit(functools.partial(run, getattr(self._node, part), *args, **kwargs))

    def _prepared(self, method: Any) -> Any:
        return reading_in_pool(method) if method is Objects.put_object else method

    def _submit(self, function: Callable[[], Any]) -> Any:
        """Call a function in the thread, and return its result."""
        raise NotImplementedError

    def _shutdown(self, close: Callable[[], Any]) -> Any:
        """Call ``close``, then end the thread and wait for its end; nothing in a forked child."""
        raise NotImplementedError

    def _post(self, function: Callable[[], Any]) -> None:
        """Call a function in the thread, and do not wait for it; never in a forked child."""
        if not self._thread.is_forked:
            self._thread.submit(ThreadCall(function, ignore))

    # State, which is read without waiting for the thread

    id = BridgedState(lambda node: node.id)
    contact = BridgedState(lambda node: node.contact)
    local_endpoint = BridgedState(lambda node: node.local_endpoint)
    reachable = BridgedState(lambda node: node.reachable)
    params = BridgedState(lambda node: node.params)
    closed = BridgedState(lambda node: node.closed)
    joined = BridgedState(lambda node: node.joined)

    # Operations beside those of NodeOperations

    start = bridged(Node.start)
    close = bridged(Node.close, closes=True)
    wait_joined = bridged(Node.wait_joined)
    wait_closed = bridged(Node.wait_closed)
    stats = bridged(Node.stats)
    network_size = bridged(Node.network_size)
    add_peers = bridged(Node.add_peers)
    observe = bridged(Node.observe)
    unobserve = bridged(Node.unobserve)
