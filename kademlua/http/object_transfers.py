"""ObjectTransfers: limits how many objects and batches a server transfers at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import falcon

MAX_TRANSFERS: Final = 16
"""Each may hold a megabyte of blocks that its client has not taken yet."""


class ObjectTransfers:
    """Counts the transfers of one server."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a transfer.

        Raises:
            falcon.HTTPServiceUnavailable: ``MAX_TRANSFERS`` are in progress.
        """
        if self._count >= MAX_TRANSFERS:
            raise falcon.HTTPServiceUnavailable(
                description=f"{MAX_TRANSFERS} objects or batches are transferred; try again later",
                retry_after=5,
            )
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
