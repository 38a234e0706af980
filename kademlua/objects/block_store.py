"""BlockStore: the network as objects see it, and its implementation by single operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from kademlua.core.errors import KademluaError, NodeClosed, StoreFailed
from kademlua.core.objects.tree import Block
from kademlua.core.results import StoreReport
from kademlua.values.bulk.parallel import run_parallel
from kademlua.values.bulk.window import Window

_PUT_CONCURRENCY: Final = 16
_GET_CONCURRENCY: Final = 32
_TRIES: Final = 3
"""Attempts to store or find a block. Under load, all replies to one attempt may get lost."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The result of storing one block."""

    block: Block
    report: StoreReport
    error: KademluaError | None = None
    """Why it was not stored; None if it was."""


class BlockStore(Protocol):
    """Stores and finds the blocks of objects."""

    def put_blocks(self, blocks: Iterable[Block]) -> Iterator[BlockResult]:
        """Store blocks, and yield results as they arrive.

        A block is taken from ``blocks`` only while few others are in flight.

        Raises:
            NodeClosed: the node is closed.
        """

    def get_blocks(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
        """Find blocks, and yield each key with its value as it arrives; None if none was found.

        The SHA-1 of each value, bencoded, is its key.

        Raises:
            NodeClosed: the node is closed.
        """


class SingleBlocks:
    """A ``BlockStore`` with one operation of a node for each block, several in flight."""

    def __init__(
        self,
        put: Callable[[Block], StoreReport],
        get: Callable[[bytes], Any | None],
        clock: Callable[[], float],
    ) -> None:
        """Prepare; ``put`` and ``get`` store and find one block."""
        self._put = put
        self._get = get
        self._put_window = Window(_PUT_CONCURRENCY, clock)
        self._get_window = Window(_GET_CONCURRENCY, clock)

    def put_blocks(self, blocks: Iterable[Block]) -> Iterator[BlockResult]:
        """Store blocks; see ``BlockStore``."""
        return run_parallel(self._put_one, blocks, lambda: self._put_window.size)

    def get_blocks(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
        """Find blocks; see ``BlockStore``."""
        return run_parallel(self._get_one, keys, lambda: self._get_window.size)

    def _put_one(self, block: Block) -> BlockResult:
        report = StoreReport()
        for _ in range(_TRIES):
            flight = self._put_window.begin()
            try:
                report = self._put(block)
                self._put_window.end(flight, is_lost=bool(report.timed_out))
                return BlockResult(block, report)
            except NodeClosed:
                raise
            except KademluaError as error:
                failure = error
                self._put_window.end(flight, is_lost=True)
                if isinstance(error, StoreFailed) and isinstance(error.report, StoreReport):
                    report = error.report
                if report.refused:  # another attempt would be refused, too
                    break
        return BlockResult(block, report, failure)

    def _get_one(self, key: bytes) -> tuple[bytes, Any]:
        for _ in range(_TRIES):
            flight = self._get_window.begin()
            value = self._get(key)
            self._get_window.end(flight, is_lost=value is None)
            if value is not None:
                return key, value
        return key, None
