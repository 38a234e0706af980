"""Bulk: what a node stores, publishes and finds for many keys at a time.

It works in windows of keys, which ``bulk_iterators`` draws.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator
from enum import Enum, auto
from typing import Any, Final

from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.reasons import Purpose
from kademlua.core.results import FindResult, Publication, StoreResult
from kademlua.core.values.validation import validate_key
from kademlua.core.wire.requests import StoreArguments
from kademlua.lookup.value_search import FindOptions, ValueSearch
from kademlua.node.bulk_window import BulkWindow
from kademlua.node.lifecycle import Lifecycle
from kademlua.node.services import Services
from kademlua.node.values import Values
from kademlua.runtime.time_slices import in_slices
from kademlua.values.bulk.parallel import run_parallel
from kademlua.values.bulk.tally import Tally

_KEEP_CONCURRENCY: Final = 64
"""Publications that are saved together: they wait for the same commit."""


class _Kind(Enum):
    """What happens to each value."""

    ADD = auto()
    OVERWRITE = auto()
    PUBLISH = auto()


class Bulk:
    """The part of a node that deals with many keys at a time."""

    __slots__ = ("_lifecycle", "_parts", "_values")

    def __init__(self, lifecycle: Lifecycle, parts: Services, values: Values) -> None:
        self._lifecycle = lifecycle
        self._parts = parts
        self._values = values

    def add(self, items: list[tuple[bytes, Any]], ttl: float | None) -> BulkWindow:
        """Begin to store values of different keys.

        Raises:
            NotJoined, NodeClosed: see ``Values.add``.
        """
        return self._begin_store(_Kind.ADD, items, ttl)

    def overwrite(self, items: list[tuple[bytes, Any]], ttl: float | None) -> BulkWindow:
        """Begin like ``add``, and remove the values of other owners."""
        return self._begin_store(_Kind.OVERWRITE, items, ttl)

    def publish(self, items: list[tuple[bytes, Any]], ttl: float | None) -> BulkWindow:
        """Begin like ``add``, and publish the values."""
        return self._begin_store(_Kind.PUBLISH, items, ttl)

    def _begin_store(
        self, kind: _Kind, items: list[tuple[bytes, Any]], ttl: float | None
    ) -> BulkWindow:
        self._lifecycle.require_joined()
        tally = Tally()
        return BulkWindow(self._store(kind, items, ttl, tally), tally)

    def find(self, keys: list[bytes], max_nodes: int) -> BulkWindow:
        """Begin to find the values of keys.

        Raises:
            NotJoined, NodeClosed: see ``Values.add``.
        """
        self._lifecycle.require_joined()
        tally = Tally()
        return BulkWindow(self._find(keys, max_nodes, tally), tally)

    def take_results(self, window: BulkWindow, ready: deque[Any]) -> bool:
        """Block until there are further results, and append them to ``ready``; return False at the
        end."""
        return window.take(ready)

    # Stores

    def _store(
        self, kind: _Kind, items: list[tuple[bytes, Any]], ttl: float | None, tally: Tally
    ) -> Generator[list[StoreResult], None, None]:
        publications: dict[bytes, Publication] = {}
        invalid: list[StoreResult] = []
        counts: Counter[bytes] = Counter()
        for key, value in in_slices(items, self._parts.context.clock):
            try:
                publications[key] = self._values.publication(key, value, ttl)
                counts[key] += 1
            except (TypeError, ValueError) as error:
                invalid.append(StoreResult(key, None, error))
        yield invalid
        purpose = Purpose.PUBLISH if kind is _Kind.PUBLISH else Purpose.STORE

        def finish(result: StoreResult) -> StoreResult:
            return self._finish(kind, publications[result.key], result)

        for is_last in (False, True):
            arguments = [_arguments(each, kind) for each in publications.values()]
            stale: dict[bytes, Publication] = {}
            for results in self._parts.bulk_writer.store(arguments, purpose, tally):
                if not is_last:
                    renumbered = self._renumber(results, publications)
                    stale |= renumbered
                    results = [each for each in results if each.key not in renumbered]
                finished = run_parallel(finish, results, lambda: _KEEP_CONCURRENCY)
                yield [each for each in finished for _ in range(counts[each.key])]
            publications = stale

    def _renumber(
        self, results: list[StoreResult], publications: dict[bytes, Publication]
    ) -> dict[bytes, Publication]:
        """Return the values of which holders have newer ones, with higher sequence numbers.

        There are some if the clock was set back.
        """
        next_seq = self._parts.writer.next_seq
        return {
            key: publications[key]._replace(seq=next_seq(report.newer_seqs))
            for key, report, _ in results
            if report is not None and report.newer_seqs
        }

    def _finish(self, kind: _Kind, publication: Publication, result: StoreResult) -> StoreResult:
        """Publish a stored value, or end an earlier publication of its key."""
        key, report, error = result
        if error is not None or report is None:
            return result
        try:
            if kind is _Kind.PUBLISH:
                self._parts.republisher.keep(publication, report)
            else:
                self._parts.republisher.unpublish(key)  # otherwise its value would come back
        except NodeClosed:
            raise
        except KademluaError as failure:
            return StoreResult(key, report, failure)
        return result

    # Finds

    def _find(
        self, keys: list[bytes], max_nodes: int, tally: Tally
    ) -> Generator[list[FindResult], None, None]:
        valid, invalid = [], []
        for key in keys:
            try:
                valid.append(validate_key(key))
            except (TypeError, ValueError) as error:
                invalid.append(FindResult(key, [], error))
        yield invalid
        params = self._parts.context.params
        options = FindOptions(max_nodes=max_nodes, path_count=params.disjoint_paths)
        counts = Counter(valid)
        for found in self._parts.bulk_finder.find(list(counts), options, tally):
            results = [self._finish_find(key, search) for key, search in found]
            yield [each for each in results for _ in range(counts[each.key])]

    def _finish_find(self, key: bytes, search: ValueSearch | KademluaError) -> FindResult:
        if isinstance(search, KademluaError):
            return FindResult(key, [], search)
        self._parts.read_repair.after_find(search)
        return FindResult(key, search.results())


def _arguments(publication: Publication, kind: _Kind) -> StoreArguments:
    key, encoded, ttl, seq = publication
    return StoreArguments(key, encoded, ttl, overwrite=kind is _Kind.OVERWRITE, seq=seq)
