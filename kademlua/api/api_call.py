"""ApiCall: what calls the operations of a ``NodeApi``, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from kademlua.api.operations import NodeApi


class ApiCall(Protocol):
    """Calls a ``NodeApi`` operation by its name and fields, locally or remotely."""

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        """Run an operation, and return its result; fields that are None are left out."""

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Return an iterator over the rows of an operation."""


class LocalCall:
    """Calls the operations of a node in this process."""

    def __init__(self, operations: NodeApi) -> None:
        self._operations = operations

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        return self._operations.call(name, _present(fields))

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Return an iterator over the rows of an operation."""
        return self._operations.stream(name, _present(fields))


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
