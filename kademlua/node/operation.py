"""Operations that block in one kind of node, and are coroutines in another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_BlockingT_co = TypeVar("_BlockingT_co", covariant=True)
_AwaitableT_co = TypeVar("_AwaitableT_co", covariant=True)


class BlockingCalls:
    """Marks a kind of node whose operations block and return their results."""


class AwaitableCalls:
    """Marks a kind of node whose operations are coroutines."""


class AnyNode(Protocol):
    """A Node, ThreadedNode or AsyncNode."""

    def _run(self, part: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...

    def _prepared(self, method: Any) -> Any: ...


class MethodByKind(Generic[_BlockingT_co, _AwaitableT_co]):
    """The type, for type checkers, of a method whose form depends on the kind of node.

    At run time it is a function.
    """

    @overload
    def __get__(self, node: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, node: BlockingCalls, kind: type) -> _BlockingT_co: ...
    @overload
    def __get__(self, node: AwaitableCalls, kind: type) -> _AwaitableT_co: ...
    def __get__(self, node: object, kind: type) -> Any:
        """Return the method bound to a node."""
        raise NotImplementedError


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
