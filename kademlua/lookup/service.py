"""What a node looks for: nodes, values, and how large the network is.

Each is a lookup whose next query goes out as soon as an answer comes in; the greenlet that
asked sleeps through it and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.ids import random_id, to_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.reasons import Purpose
from kademlua.core.routing.diversity import IdDensity
from kademlua.core.routing.size_estimate import NetworkSizeEstimator
from kademlua.core.values.record_filter import RecordFilter, ValueFilter
from kademlua.core.wire import replies, requests
from kademlua.crypto import signing
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search import LookupQuery, NetworkLookup, SearchOptions
from kademlua.lookup.value_search import ValueSearch
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context


class LookupService:
    """The lookups of one node and what is built from them."""

    def __init__(self, context: Context, client: RpcClient, liveliness: LivelinessManager) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self.size_estimator = NetworkSizeEstimator()

    def find_node(
        self,
        target: bytes,
        seeds: Iterable[Contact] = (),
        count: int | None = None,
        *,
        path_count: int = 1,
        purpose: Purpose = Purpose.FIND_NODE,
    ) -> Lookup | DisjointLookup:
        """Look up the closest live contacts; blocks this greenlet until it is done.

        ``seeds`` are contacts to begin with besides the routing table's; ``count`` is how many
        to find, by default ``Params.k``, ``path_count`` on how many disjoint ones; ``purpose`` is
        one of ``Stats.calls_by_purpose``. Raises NodeClosed and TooManyCalls.
        """
        return self.run_node_lookup(
            target, seeds, count, path_count=path_count, purpose=purpose
        ).lookup

    def run_node_lookup(
        self,
        target: bytes,
        seeds: Iterable[Contact] = (),
        count: int | None = None,
        *,
        path_count: int = 1,
        purpose: Purpose,
    ) -> NetworkLookup:
        """As ``find_node``; the search has the write tokens, too, that it was given."""
        options = SearchOptions(purpose=purpose, k=count, path_count=path_count)
        network_lookup = self._new_lookup(self._findnode_query(target), options)
        network_lookup.run(seeds)
        self._record_completed(target, network_lookup.lookup)
        return network_lookup

    def find_until(
        self, targets: Sequence[tuple[bytes, Callable[[Lookup], bool]]], purpose: Purpose
    ) -> None:
        """Look up several targets at once, each with one query at a time and only until its
        function says that enough have answered; blocks and raises as ``find_node`` does."""
        network_lookups = [
            (target, self._start_until(target, until, purpose)) for target, until in targets
        ]
        for target, network_lookup in network_lookups:
            network_lookup.wait()
            self._add_size_sample(target, network_lookup.lookup)

    def _start_until(
        self, target: bytes, stop_when: Callable[[Lookup], bool], purpose: Purpose
    ) -> NetworkLookup:
        options = SearchOptions(purpose=purpose, alpha=1, stop_when=stop_when)
        network_lookup = self._new_lookup(self._findnode_query(target), options)
        network_lookup.lookup.limit_concurrency(1)
        network_lookup.start()
        return network_lookup

    def sample_density(self, sample_count: int) -> None:
        """See at so many random places how near the nodes are to each other: some four queries
        each. Blocks and raises as ``find_node`` does."""
        rng = self._context.rng
        self.find_until(
            [(random_id(rng), _has_nearest) for _ in range(sample_count)], Purpose.MAINTAIN
        )

    def _read_findnode_reply(self, contact: Contact, values: list[Any]) -> list[Contact]:
        if values and type(values[0]) is list:
            self._liveliness.mark_v10(contact.id)
        return replies.decode_findnode_reply(
            values, self._context.pool, self._context.address_families
        )

    def record_filter(
        self,
        key: bytes,
        *,
        only_records: bool = False,
        min_seq: int = 0,
        value_filter: ValueFilter | None = None,
    ) -> RecordFilter:
        """Return a filter for the values found under a key, with the options of
        ``RecordFilter``."""
        return RecordFilter(
            key,
            verify=signing.verify,
            wall_clock=self._context.wall_clock,
            only_records=only_records,
            min_seq=min_seq,
            value_filter=value_filter,
        )

    def find_value(
        self,
        key: bytes,
        max_nodes: int,
        max_values_per_node: int,
        quorum: int = 1,
        record_filter: RecordFilter | None = None,
        path_count: int = 1,
    ) -> ValueSearch:
        """Find what up to ``max_nodes`` nodes have under a key, up to ``max_values_per_node`` of
        each.

        Ends with as many answers as asked for, and ``quorum`` of them with a value in common;
        where there are fewer, when the k closest, on each of so many disjoint ``path_count``, have
        said what they have. A node of which nothing passes the sieve counts as one that has
        nothing.
        """
        record_filter = record_filter or self.record_filter(key)
        value_search = ValueSearch(
            self._context, key, max_nodes, max_values_per_node, quorum, record_filter
        )
        local = self._store.get(key, max_values_per_node, self._clock())
        if local:
            values = [replies.decode_value(each) for each in local]
            value_search.add(self._context.local_contact, values)
            if not value_search.wanted:
                return value_search
        args = requests.encode_findvalue_args(key, max_values_per_node)
        # As many in flight as answers are wanted, and one more where one may be late: further
        # ones seldom pay. And no haste at the end where round trips are short.
        extra = 0 if self._liveliness.is_network_stable else 1
        alpha = min(self._params.alpha, value_search.wanted + extra)
        options = SearchOptions(
            purpose=Purpose.FIND_VALUE,
            alpha=alpha,
            saves_queries=self._liveliness.rto_estimator.is_low_latency,
            path_count=path_count,
        )
        query = LookupQuery(key, "findvalue", args, value_search.read_reply)
        network_lookup = self._new_lookup(query, options)
        value_search.lookup = network_lookup.lookup
        network_lookup.run(())
        if value_search.wanted:
            self._record_completed(key, network_lookup.lookup)
        value_search.fetch_truncated(self._client)
        if record_filter.rejected:
            self._context.stats.rejected_records.update(record_filter.rejected)
        return value_search

    def network_size(self) -> int:
        """About how many nodes the network has, from what recent lookups met."""
        local_int, k = to_int(self._context.id), self._params.k
        neighbours = [contact.id_int for contact in self._table.closest(self._context.id, k)]
        if self._context.is_client and len(self.size_estimator):
            neighbours = []  # a client does not know its neighbours
        not_before = self._clock() - self._params.refresh_interval
        return self.size_estimator.estimate(local_int, neighbours, k, not_before)

    def update_density(self) -> None:
        """See anew how near to each other ids may be before they count as a crowd."""
        network_size = self.size_estimator.median(self._clock() - self._params.refresh_interval)
        if network_size is None:
            self._table.density = None
            return
        closest = self._table.closest(self._context.id, self._params.k)
        neighbours = self.size_estimator.from_neighbours(
            to_int(self._context.id), [c.id_int for c in closest]
        )
        self._table.density = IdDensity(network_size, self._params.max_id_density, neighbours)

    def _findnode_query(self, target: bytes) -> LookupQuery:
        args = requests.encode_key_args(target)
        return LookupQuery(target, "findnode", args, self._read_findnode_reply)

    def _new_lookup(self, query: LookupQuery, options: SearchOptions) -> NetworkLookup:
        return NetworkLookup(self._context, self._client, self._liveliness, query, options)

    def _record_completed(self, target: bytes, lookup: Lookup | DisjointLookup) -> None:
        """A lookup went all the way: its bucket is fresh, its result tells of the size."""
        if lookup.k >= self._params.k:  # a narrower one does not meet the whole bucket
            self._table.mark_refreshed(target, self._clock())
        self._add_size_sample(target, lookup)

    def _add_size_sample(self, target: bytes, lookup: Lookup | DisjointLookup) -> None:
        # The neighbours themselves count once already, as they stand in the table.
        if target != self._context.id:
            closest = lookup.candidates(self._params.k)
            if len(closest) == self._params.k:
                numbers = [contact.id_int for contact in closest]
                self.size_estimator.add_sample(self._clock(), to_int(target), numbers)


def _has_nearest(lookup: Lookup) -> bool:
    return lookup.has_nearest_replied
