"""BulkFinder: finds the values of many keys in the order of the keys; neighbours share requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    CallInterrupted,
    KademluaError,
    NodeClosed,
    RpcFailed,
    RpcTimeout,
    WireError,
)
from kademlua.core.reasons import Purpose
from kademlua.core.wire import find_many
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.lookup.value_search import FindOptions, ValueSearch
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.values.bulk.holder_calls import HolderCalls
from kademlua.values.bulk.job import Job
from kademlua.values.bulk.parallel import run_parallel
from kademlua.values.bulk.region_lookups import RegionLookups
from kademlua.values.bulk.tally import Tally

_CHUNK_KEYS: Final = 64
_CHUNK_CONCURRENCY: Final = 16
_SINGLE_CONCURRENCY: Final = 32
_HOLDER_CONCURRENCY: Final = 8
"""Holders that are asked for keys of a chunk at the same time."""
_FIRST_KEYS: Final = 8
"""Keys of the first request to a holder: how many values fit into a reply is not known yet."""

Found = tuple[bytes, ValueSearch | KademluaError]
"""A key, and its search or why it failed."""


class _Wanted:
    """A key, and the replicas that may have its values."""

    __slots__ = ("holders", "is_certain", "search")

    def __init__(self, search: ValueSearch, holders: list[Contact]) -> None:
        self.search = search
        self.holders = holders
        """Those that have not been asked, nearest first."""
        self.is_certain = True
        """Whether all others have replied."""

    @property
    def is_open(self) -> bool:
        """Whether others have to be asked."""
        return bool(self.holders) and self.search.wanted > 0

    @property
    def is_finished(self) -> bool:
        """Whether a search of its own would find no more."""
        return self.is_certain or not self.search.wanted

    def on_too_much(self) -> None:
        """Record that the values of a holder fit into no reply: there are many, or a large one.

        If that is so, other holders need not be asked; but the first one that says so may lie.
        """
        if not self.is_certain:
            self.holders = []
        self.is_certain = False

    def take_holders(self, count: int, popularity: Counter[Contact]) -> list[Contact]:
        """Return holders to ask next: those that can be asked for most other keys, too."""
        taken = sorted(self.holders, key=lambda each: -popularity[each])[:count]
        self.holders = [each for each in self.holders if each not in taken]
        return taken


class BulkFinder:
    """Finds the values of many keys for one node."""

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        regions: RegionLookups,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups
        self._regions = regions
        self._calls = HolderCalls(client, liveliness)

    def find(self, keys: list[bytes], options: FindOptions, tally: Tally) -> Iterator[list[Found]]:
        """Find the values of different keys, and yield results as they arrive, in any order.

        Raises:
            NodeClosed: The node is closed.
        """
        keys = sorted(keys)
        job = Job(Purpose.FIND_VALUE, tally, None)
        if not self._regions.are_dense(keys):
            yield from self._find_singly(keys, options)
            return

        def find_chunk(chunk: list[bytes]) -> list[Found]:
            found, others = self._ask_replicas(chunk, options, job)
            for results in self._find_singly(others, options):
                found += results
            return found

        chunks = [keys[start : start + _CHUNK_KEYS] for start in range(0, len(keys), _CHUNK_KEYS)]
        try:
            yield from run_parallel(find_chunk, chunks, lambda: _CHUNK_CONCURRENCY)
        finally:
            self._context.stats.calls_by_purpose[Purpose.FIND_VALUE] += tally.requests

    def _find_singly(self, keys: list[bytes], options: FindOptions) -> Iterator[list[Found]]:
        """Find keys each by a search of its own, which starts with contacts of the last one."""
        nearby: list[Contact] = []

        def find_one(key: bytes) -> list[Found]:
            try:
                search = self._lookups.find_value(key, options, seeds=list(nearby))
            except NodeClosed:
                raise
            except KademluaError as error:
                return [(key, error)]
            nearby[:] = search.contacts_near(self._context.params.k) or nearby
            return [(key, search)]

        return run_parallel(find_one, keys, lambda: _SINGLE_CONCURRENCY)

    def _ask_replicas(
        self, keys: list[bytes], options: FindOptions, job: Job
    ) -> tuple[list[Found], list[bytes]]:
        """Ask the replicas of neighbouring keys; return what is found, and the keys that need a
        search of their own."""
        self._regions.forget_old()
        wanted = [self._begin(key, options, job) for key in keys]
        pending, round_number = wanted, 0
        while pending := [each for each in pending if each.is_open]:
            popularity = Counter([holder for each in pending for holder in each.holders])
            by_holder: dict[Contact, list[_Wanted]] = {}
            for each in pending:
                # A value that is not where it is expected is rare: ask many then.
                count = each.search.wanted << round_number
                for holder in each.take_holders(count, popularity):
                    by_holder.setdefault(holder, []).append(each)
            self._ask_round(by_holder, job)
            round_number += 1
        found: list[Found] = [(each.search.key, each.search) for each in wanted if each.is_finished]
        return found, [each.search.key for each in wanted if not each.is_finished]

    def _begin(self, key: bytes, options: FindOptions, job: Job) -> _Wanted:
        """Return a key with its replicas, of which this node's values are found already."""
        search = ValueSearch(self._context, key, options, self._lookups.record_filter(key))
        try:
            replicas = self._regions.replicas(key, job) or []
        except NodeClosed:
            raise
        except KademluaError:  # too many calls in flight: tried again alone
            replicas = []
        local = self._context.local_contact
        others = [each for each in replicas if each != local]
        wanted = _Wanted(search, [each for each in others if self._calls.has_rpc(each)])
        wanted.is_certain = len(wanted.holders) == len(others) and bool(replicas)
        values = self._lookups.local_values(key, options.limits.max_values_per_node)
        if values:
            search.add(local, values)
        return wanted

    def _ask_round(self, by_holder: dict[Contact, list[_Wanted]], job: Job) -> None:
        def ask(holder: Contact) -> None:
            self._ask(holder, by_holder[holder], job)

        for _ in run_parallel(ask, list(by_holder), lambda: _HOLDER_CONCURRENCY):
            pass

    def _ask(self, holder: Contact, wanted: list[_Wanted], job: Job) -> None:
        """Ask a holder for keys, several in a request, and block this greenlet until done."""
        size = _FIRST_KEYS
        while wanted := [each for each in wanted if each.search.wanted]:
            batch = wanted[:size]
            rows = self._call(holder, [each.search.key for each in batch], job)
            if rows is None:
                for each in wanted:
                    each.is_certain = False
                return
            if rows[0] is None:
                batch[0].on_too_much()
            left = []
            for number, (each, row) in enumerate(zip(batch, rows, strict=True)):
                if row is not None:
                    each.search.record(holder, row)
                elif number:
                    left.append(each)
            wanted = left + wanted[len(batch) :]
            size = max(1, len(batch) - len(left)) if left else min(2 * size, find_many.MAX_KEYS)

    def _call(self, holder: Contact, keys: list[bytes], job: Job) -> list[list[Any] | None] | None:
        """Return the values of each key, None in place of those that did not fit; None if there is
        no valid reply."""
        token_key, token = self._regions.write_tokens.get(holder, (keys[0], b""))
        args = find_many.encode_args(token_key, keys, token)
        result = self._calls.call(holder, self._client.encode("findmany", args))
        job.tally.requests += 1
        if isinstance(result, NodeClosed):
            raise result
        if isinstance(result, CallInterrupted):  # says nothing about the holder
            return None
        if isinstance(result, RpcTimeout):
            self._liveliness.on_timeout(holder)
            self._regions.remove(holder)
        elif isinstance(result, RpcFailed):
            self._calls.remember_without_rpc(holder)
        elif not isinstance(result, KademluaError):
            try:
                return find_many.decode_reply(result, len(keys))
            except WireError as error:
                self._client.count_malformed_reply(error)
        return None
