"""BulkWriter: stores many values in the order of their keys; neighbours share lookups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, StoreFailed
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport, StoreResult
from kademlua.core.wire.requests import StoreArguments
from kademlua.runtime.context import Context
from kademlua.values.bulk.batch_sender import BatchSender
from kademlua.values.bulk.entry import Entry
from kademlua.values.bulk.job import Job
from kademlua.values.bulk.parallel import run_parallel
from kademlua.values.bulk.region_lookups import RegionLookups
from kademlua.values.bulk.tally import Tally
from kademlua.values.bulk.window import Window
from kademlua.values.pacing import STORE_OVERHEAD_BYTES, UpkeepPacer
from kademlua.values.writer import ValueWriter

_CHUNKS: Final = 32
_MIN_CHUNK_KEYS: Final = 32
_MAX_CHUNK_KEYS: Final = 512
_CHUNK_CONCURRENCY: Final = 16
_PACED_CONCURRENCY: Final = 4
"""Chunks at the same time in the upkeep, which its pacer limits."""
_SINGLE_CONCURRENCY: Final = 32
_HOLDER_CONCURRENCY: Final = 32
"""Holders that a chunk is sent to at the same time. Each has one request in flight."""
_LOCAL_CONCURRENCY: Final = 64
"""Values that enter the own store together: they wait for the same commit."""
_ROUNDS: Final = 5
"""Attempts to replace holders that do not reply."""


class BulkWriter:
    """Stores many values in the network for one node."""

    def __init__(
        self,
        context: Context,
        writer: ValueWriter,
        sender: BatchSender,
        pacer: UpkeepPacer,
        regions: RegionLookups,
    ) -> None:
        self._context = context
        self._pacer = pacer
        self._regions = regions
        self._writer = writer
        self._sender = sender
        self._params = context.params

    def store(
        self,
        items: list[StoreArguments],
        purpose: Purpose,
        tally: Tally,
        *,
        is_upkeep: bool = False,
    ) -> Iterator[list[StoreResult]]:
        """Store values of different keys, and yield results as they arrive, in any order.

        What belongs to the upkeep waits for its pacer.

        Raises:
            NodeClosed: The node is closed.
        """
        items = sorted(items, key=lambda each: each.key)
        job = Job(purpose, tally, self._pacer if is_upkeep else None)
        if not self._regions.are_dense([each.key for each in items]):
            yield from self._store_singly(items, job)
            return

        def store_chunk(chunk: list[StoreArguments]) -> list[StoreResult]:
            return self._store_chunk(chunk, job)

        size = max(_MIN_CHUNK_KEYS, min(_MAX_CHUNK_KEYS, len(items) // _CHUNKS))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        concurrency = _PACED_CONCURRENCY if is_upkeep else _CHUNK_CONCURRENCY
        try:
            yield from run_parallel(store_chunk, chunks, lambda: concurrency)
        finally:
            self._context.stats.calls_by_purpose[purpose] += tally.requests

    def _store_singly(self, items: list[StoreArguments], job: Job) -> Iterator[list[StoreResult]]:
        """Store values of keys that are far from each other."""
        window = Window(_SINGLE_CONCURRENCY, self._context.clock)

        def store_one(arguments: StoreArguments) -> list[StoreResult]:
            request_bytes = len(arguments.encoded) + STORE_OVERHEAD_BYTES
            job.wait(request_bytes, self._params.replicas)
            flight = window.begin()
            result = self._store_single(arguments, job)
            window.end(flight, is_lost=result.report is None or bool(result.report.timed_out))
            return [result]

        return run_parallel(store_one, items, lambda: window.size)

    def _store_single(self, arguments: StoreArguments, job: Job) -> StoreResult:
        request_bytes = len(arguments.encoded) + STORE_OVERHEAD_BYTES
        try:
            stored = self._writer.store(
                arguments, job.purpose, on_extra=lambda: job.charge(request_bytes)
            )
            return StoreResult(arguments.key, stored)
        except NodeClosed:
            raise
        except KademluaError as error:
            report = error.report if isinstance(error, StoreFailed) else None
            return StoreResult(
                arguments.key, report if isinstance(report, StoreReport) else None, error
            )

    def _store_chunk(self, chunk: list[StoreArguments], job: Job) -> list[StoreResult]:
        """Store values of neighbouring keys."""
        self._regions.forget_old()
        entries: list[Entry] = []
        uncertain: list[StoreArguments] = []
        for arguments in chunk:
            try:
                replicas = self._regions.replicas(arguments.key, job)
            except NodeClosed:
                raise
            except KademluaError:  # too many calls in flight: tried again alone
                replicas = None
            if replicas is None:
                uncertain.append(arguments)
            else:
                entries.append(Entry(arguments, replicas))
        self._store_local_part(entries)
        pending = entries
        for _ in range(_ROUNDS):
            self._send_round(pending, job)
            pending = self._choose_fallbacks(pending)
        results = [self._result_of(each) for each in entries]
        return results + [self._store_single(each, job) for each in uncertain]

    def _store_local_part(self, entries: list[Entry]) -> None:
        """Store what this node holds, and drop older values of the keys that it does not hold."""
        local = self._context.local_contact
        held = []
        for entry in entries:
            if local in entry.recipients:
                entry.recipients.remove(local)
                held.append(entry)

        def store(entry: Entry) -> None:
            self._writer.store_locally(entry.arguments, entry.report)

        for _ in run_parallel(store, held, lambda: _LOCAL_CONCURRENCY):
            pass

    def _send_round(self, entries: list[Entry], job: Job) -> None:
        """Send each entry to its recipients."""
        by_holder: dict[Contact, list[Entry]] = {}
        for entry in entries:
            for each in entry.recipients:
                by_holder.setdefault(each, []).append(entry)
        window = Window(_HOLDER_CONCURRENCY, self._context.clock)

        def send(holder: Contact) -> None:
            token = self._regions.write_tokens.get(holder, (b"", b""))
            self._sender.send(holder, by_holder[holder], token, window, job)

        for _ in run_parallel(send, list(by_holder), lambda: window.size):
            pass

    def _choose_fallbacks(self, entries: list[Entry]) -> list[Entry]:
        """Let other nodes near the key replace the recipients that timed out; return the entries
        that have any."""
        silent = {each for entry in entries for each in entry.report.timed_out}
        for each in silent:
            self._regions.remove(each)
        local = self._context.local_contact
        for entry in entries:
            entry.recipients = [c for c in entry.recipients if c in entry.report.timed_out]
            if entry.recipients:
                count = self._params.replicas + len(entry.report.timed_out) + 1
                nearest = self._regions.nearest(entry.arguments.key, count)
                entry.choose_fallbacks([each for each in nearest if each != local])
        return [each for each in entries if each.recipients]

    def _result_of(self, entry: Entry) -> StoreResult:
        key, report = entry.arguments.key, entry.report
        if len(report.acknowledged) < self._params.write_quorum:
            return StoreResult(key, report, StoreFailed(report.failure_summary(), report))
        local = self._context.local_contact
        if local not in report.acknowledged and not any(c == local for c, _ in report.refused):
            self._context.store.remove(key, local)
        return StoreResult(key, report)
