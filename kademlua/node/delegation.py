"""Delegation: a method of ``Node`` that is a method of one of its parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def delegate(
    part: str, method: Callable[Concatenate[Any, _P], _R]
) -> Callable[Concatenate[Any, _P], _R]:
    """Return a method with the arguments and documentation of ``method``.

    It calls ``method`` of the object in the attribute ``part``.
    """

    @functools.wraps(method)
    def call_part(owner: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return method(getattr(owner, part), *args, **kwargs)

    call_part.__qualname__ = f"Node.{method.__name__}"
    return call_part
