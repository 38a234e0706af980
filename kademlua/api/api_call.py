"""ApiCall: what calls the operations of a ``NodeApi``, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class ApiCall(Protocol):
    """Calls a ``NodeApi`` operation by its name and fields, locally or remotely."""

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        """Run an operation, and return its result; fields that are None are left out."""

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Return an iterator over the rows of an operation."""
