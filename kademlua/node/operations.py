"""The operations of a node, listed once for ``Node``, ``ThreadedNode`` and ``AsyncNode``.

Their arguments, documentation and checks are in the part named.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from kademlua.node.calls import Calls
from kademlua.node.objects import Objects
from kademlua.node.records import Records
from kademlua.node.values import Values

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class BlockingCalls:
    """Marks a kind of node whose operations block and return their results."""


class AwaitableCalls:
    """Marks a kind of node whose operations are coroutines."""


class Operation(Generic[_P, _R_co]):
    """The type of an operation for type checkers; at run time it is a function."""

    @overload
    def __get__(self, node: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, node: BlockingCalls, kind: type) -> Callable[_P, _R_co]: ...
    @overload
    def __get__(
        self, node: AwaitableCalls, kind: type
    ) -> Callable[_P, Coroutine[Any, Any, _R_co]]: ...
    def __get__(self, node: object, kind: type) -> Callable[..., Any]:
        """Return the operation bound to a node."""
        raise NotImplementedError


def operation(part: str, method: Callable[Concatenate[Any, _P], _R]) -> Operation[_P, _R]:
    """Return a method with the arguments and documentation of ``method``.

    It calls ``method`` of the object in the node's attribute ``part``.
    """

    @functools.wraps(method)
    def call_part(node: Any, /, *args: Any, **kwargs: Any) -> Any:
        return node._run(part, method, *args, **kwargs)

    call_part.__qualname__ = f"Node.{method.__name__}"
    return cast("Operation[_P, _R]", call_part)


class NodeOperations:
    """One line for each operation."""

    find_node = operation("_values", Values.find_node)
    find_value = operation("_values", Values.find_value)
    add = operation("_values", Values.add)
    overwrite = operation("_values", Values.overwrite)
    publish = operation("_values", Values.publish)
    unpublish = operation("_values", Values.unpublish)
    published = operation("_values", Values.published)
    remove = operation("_values", Values.remove)
    put_immutable = operation("_records", Records.put_immutable)
    get_immutable = operation("_records", Records.get_immutable)
    put_signed = operation("_records", Records.put_signed)
    get_signed = operation("_records", Records.get_signed)
    put_object = operation("_objects", Objects.put_object)
    publish_object = operation("_objects", Objects.publish_object)
    unpublish_object = operation("_objects", Objects.unpublish_object)
    published_objects = operation("_objects", Objects.published_objects)
    name_object = operation("_objects", Objects.name_object)
    find_named_object = operation("_objects", Objects.find_named_object)
    call = operation("_calls", Calls.call)
    ping = operation("_calls", Calls.ping)
    is_alive = operation("_calls", Calls.is_alive)
    register = operation("_calls", Calls.register)
