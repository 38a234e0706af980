"""The lookups of a node: for nodes, for values and for the size of the network.

See Maymounkov and Mazières 2002, section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.ids import random_id, to_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.reasons import Purpose
from kademlua.core.routing.diversity import IdDensity
from kademlua.core.routing.size_estimate import NetworkSizeEstimator
from kademlua.core.stats import add_counts
from kademlua.core.values.record_filter import RecordFilter, ValueFilter
from kademlua.core.wire import packets, replies, requests
from kademlua.crypto import signing
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search import NetworkLookup
from kademlua.lookup.search_options import LookupQuery, SearchOptions
from kademlua.lookup.value_search import FindOptions, ValueSearch
from kademlua.rpc.call_options import EncodedRequest
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.time_slices import in_slices, yield_to_hub

_MANY_VALUES: Final = 64
"""Values that take a millisecond to filter."""


class LookupService:
    """Starts the lookups of one node and samples the network size from their results."""

    def __init__(self, context: Context, client: RpcClient, liveliness: LivelinessManager) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self.size_estimator = NetworkSizeEstimator()

    def nearest_known(self, target: bytes, count: int | None = None) -> list[Contact]:
        """Return the contacts with which a lookup starts, nearest first.

        These are ``Params.k`` of the routing table, or ``count`` if that is more, few of each
        subnet if there are others; and recent ones: see ``RecentContacts.added_to``.
        """
        k = count or self._params.k
        count = max(k, self._params.k)
        has_crowded = self._table.subnets.has_crowded
        closest = self._table.closest(target, len(self._table) if has_crowded else count)
        if has_crowded:
            closest = self._context.diversity_limits.select(closest, count)
        recent_contacts, density = self._liveliness.recent_contacts, self._table.density
        if density is None or not len(recent_contacts):  # the usual case
            return closest
        return recent_contacts.added_to(closest, to_int(target), k, density, self._clock())

    def find_node(
        self,
        target: bytes,
        seeds: Iterable[Contact] = (),
        count: int | None = None,
        *,
        path_count: int = 1,
        purpose: Purpose = Purpose.FIND_NODE,
    ) -> Lookup | DisjointLookup:
        """Look up the live contacts closest to ``target`` and block until the lookup ends.

        After ``Params.find_timeout`` seconds it ends with those that have replied.

        Args:
            seeds: Contacts to start with, in addition to those of the routing table.
            count: Contacts to find, default ``Params.k``.
            path_count: Disjoint paths.
            purpose: The entry of ``Stats.calls_by_purpose`` that counts the queries.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        options = SearchOptions(
            purpose=purpose, k=count, certain_alpha=count or self._params.k, path_count=path_count
        )
        known = self.nearest_known(target, count)
        return self.run_node_lookup(target, options, [*seeds, *known]).lookup

    def run_node_lookup(
        self, target: bytes, options: SearchOptions, seeds: list[Contact] | None = None
    ) -> NetworkLookup:
        """Look up nodes like ``find_node``; the result also holds the received write tokens.

        ``seeds`` are all contacts to start with, default ``nearest_known``.
        """
        network_lookup = self._new_lookup(self._findnode_query(target), options)
        network_lookup.run(self.nearest_known(target, options.k) if seeds is None else seeds)
        if network_lookup.is_complete:
            self._record_completed(target, network_lookup.lookup)
        return network_lookup

    def find_until(
        self,
        targets: Sequence[tuple[bytes, Callable[[Lookup], bool]]],
        purpose: Purpose,
        seeds: Sequence[Contact] = (),
    ) -> None:
        """Look up several targets concurrently, each with one query in flight.

        Each lookup stops when the function given with its target returns True. Block until all
        end, and raise the errors of ``find_node``. ``seeds`` are those of ``find_node``, too.
        """
        network_lookups = [
            (target, self._start_until(target, until, purpose, seeds)) for target, until in targets
        ]
        for target, network_lookup in network_lookups:
            network_lookup.wait()
            self._add_size_sample(target, network_lookup.lookup)

    def _start_until(
        self,
        target: bytes,
        stop_when: Callable[[Lookup], bool],
        purpose: Purpose,
        seeds: Sequence[Contact],
    ) -> NetworkLookup:
        options = SearchOptions(purpose=purpose, alpha=1, stop_when=stop_when)
        network_lookup = self._new_lookup(self._findnode_query(target), options)
        network_lookup.lookup.limit_concurrency(1)
        network_lookup.start([*seeds, *self.nearest_known(target)])
        return network_lookup

    def sample_density(self, sample_count: int) -> None:
        """Measure the density of ids around ``sample_count`` random targets.

        Block until all lookups end, and raise the errors of ``find_node``.
        """
        rng = self._context.rng
        targets = [random_id(rng) for _ in range(sample_count)]
        self.find_until(
            [(each, lambda lookup: lookup.has_nearest_replied) for each in targets],
            Purpose.MAINTAIN,
        )

    def _read_findnode_reply(self, _: Contact, values: list[Any]) -> list[Contact]:
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

    def local_values(self, key: bytes, limit: int) -> list[Any]:
        """Return up to ``limit`` values of a key in the own store, in time slices."""
        if not self._store.count(key):  # the usual case
            return []
        values: list[Any] = []
        now = self._clock()
        # No generator expression: compiled, it would read all values.
        for owner in in_slices(self._store.owners(key, newest_first=True), self._clock):
            if len(values) >= limit:
                break
            entry = self._store.find(key, owner)
            if entry is not None and entry.expires_at > now:
                values.append(replies.decode_value(entry.encoded))
        return values

    def find_value(
        self,
        key: bytes,
        options: FindOptions,
        record_filter: RecordFilter | None = None,
        seeds: Iterable[Contact] = (),
    ) -> ValueSearch:
        """Find the values of a key on up to ``options.max_nodes`` nodes.

        The search ends when that number of nodes returned values, and one value was returned by
        ``options.quorum`` of them. Otherwise it ends when the k closest nodes replied, on each of
        ``options.path_count`` disjoint paths, or the time of ``options.limits`` is up. A node
        counts as having no value if ``record_filter`` rejects all of its values. It starts with
        ``seeds`` in addition to contacts of the routing table.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        record_filter = record_filter or self.record_filter(key)
        value_search = ValueSearch(self._context, key, options, record_filter)
        values = self.local_values(key, options.limits.max_values_per_node)
        if values:
            if len(values) > _MANY_VALUES:
                yield_to_hub()  # after the last slice, since to filter them takes a while, too
            value_search.add(self._context.local_contact, values)
        if value_search.wanted:
            self._search(value_search, options, seeds)
            value_search.fetch_truncated(self._client)
        stats = self._context.stats
        add_counts(stats.ignored_values, value_search.budget.ignored)
        add_counts(stats.rejected_records, record_filter.rejected)
        return value_search

    def _search(
        self, value_search: ValueSearch, options: FindOptions, seeds: Iterable[Contact]
    ) -> None:
        """Run the lookup of a search until it ends or its time is up."""
        key = value_search.key
        max_values = options.limits.max_values_per_node
        args = requests.encode_findvalue_args(key, max_values)
        # One query in flight for each wanted answer. More save time only where a round trip takes
        # longer than it takes to find that a reply is late.
        alpha = min(self._params.alpha, value_search.wanted)
        is_low_latency = self._liveliness.rto_estimator.is_low_latency
        factor = 1 if is_low_latency or options.path_count > 1 else 2
        search_options = SearchOptions(
            purpose=Purpose.FIND_VALUE,
            alpha=factor * alpha,
            certain_alpha=3 * alpha,
            saves_queries=True,
            awaits_lost=value_search.is_without_result,
            path_count=options.path_count,
            deadline=value_search.deadline,
            remembers_contacts=True,
        )
        # A 1.0 node sends nothing if the values do not fit into a datagram: ask for fewer then.
        fitting = packets.MAX_PAYLOAD_BYTES // self._params.max_value_bytes
        fallback_args = requests.encode_findvalue_args(key, min(fitting, max_values))
        query = LookupQuery(key, "findvalue", args, value_search.read_reply, fallback_args)
        network_lookup = self._new_lookup(query, search_options)
        value_search.lookup = network_lookup.lookup
        network_lookup.run([*seeds, *self.nearest_known(key)])
        if value_search.wanted and network_lookup.is_complete:
            self._record_completed(key, network_lookup.lookup)

    def network_size(self) -> int:
        """Return an estimate of the number of nodes, from recent lookups and the routing table."""
        local_int, k = to_int(self._context.id), self._params.k
        neighbours = [contact.id_int for contact in self._table.closest(self._context.id, k)]
        if self._context.is_client and len(self.size_estimator):
            neighbours = []  # no node keeps a client in its table, so it sees few neighbours
        not_before = self._clock() - self._params.refresh_interval
        return self.size_estimator.estimate(local_int, neighbours, k, not_before)

    def update_density(self) -> None:
        """Update the id density above which the routing table suspects a Sybil attack."""
        network_size = self.size_estimator.median(self._clock() - self._params.refresh_interval)
        if network_size is None:
            self._table.density = None
            return
        ids = [each.id_int for each in self._table.closest(self._context.id, self._params.k)]
        neighbours = self.size_estimator.from_neighbours(to_int(self._context.id), ids)
        self._table.density = IdDensity(network_size, self._params.max_id_density, neighbours)

    def encode_findnode(self, target: bytes) -> EncodedRequest:
        """Return a findnode as a lookup sends it."""
        return self._client.encode("findnode", requests.encode_key_args(target))

    def _findnode_query(self, target: bytes) -> LookupQuery:
        args = requests.encode_key_args(target)
        return LookupQuery(target, "findnode", args, self._read_findnode_reply)

    def _new_lookup(self, query: LookupQuery, options: SearchOptions) -> NetworkLookup:
        return NetworkLookup(self._context, self._client, self._liveliness, query, options)

    def _record_completed(self, target: bytes, lookup: Lookup | DisjointLookup) -> None:
        """Mark the target's k-bucket as refreshed and add a sample of the network size."""
        if lookup.k >= self._params.k:  # a smaller k does not cover the whole k-bucket
            self._table.mark_refreshed(target, self._clock())
        self._add_size_sample(target, lookup)

    def _add_size_sample(self, target: bytes, lookup: Lookup | DisjointLookup) -> None:
        # The node's own neighbours are counted from the routing table.
        if target != self._context.id:
            closest = lookup.candidates(self._params.k)
            if len(closest) == self._params.k:
                numbers = [contact.id_int for contact in closest]
                now = self._clock()
                is_clearer = self.size_estimator.add_sample(now, to_int(target), numbers)
                if is_clearer or self._table.density is None:  # else maintenance does it
                    self.update_density()
