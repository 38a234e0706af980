"""Joining a network: from a few addresses to a filled routing table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, canonical_address, is_link_local
from kademlua.core.errors import KademluaError
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.reasons import Purpose
from kademlua.core.routing.bucket import KBucket
from kademlua.liveliness.manager import MIN_BUCKET_FILL, LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.host_names import HostResolver
from kademlua.membership.seed_query import SeedQuery
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

_MAX_CACHED: Final = 64
"""Addresses of peers, learned earlier or while running, that are remembered."""
_MAX_SELF_LOOKUPS: Final = 4
"""Lookups of the own id in one join."""
_MAX_KNOWN: Final = 64
"""Contacts that the lookup of the own id met but did not query, for those that follow it."""
_ATTEMPT_TIMEOUT: Final = 10.0
"""Seconds that an attempt waits for host names at most; a later result serves the next one."""


class Bootstrap:
    """Joins one node to the network of its bootstrap addresses."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        cached_endpoints: Sequence[Endpoint] = (),
    ) -> None:
        """Prepare to join.

        The node queries ``cached_endpoints`` like bootstrap addresses, but needs no reply from
        them.
        """
        self._cached_endpoints = list(cached_endpoints)[:_MAX_CACHED]
        self._endpoints, self._names = _split_names(endpoints)
        client.gate.configure([*self._endpoints, *self._cached_endpoints])
        self._resolver = HostResolver(context.log) if self._names else None
        self._query: SeedQuery | None = None
        """The query of the attempt in progress."""
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups

    @property
    def has_endpoints(self) -> bool:
        """Whether there is an address to join through."""
        return self.is_required or bool(self._cached_endpoints)

    @property
    def is_required(self) -> bool:
        """Whether the node must get a reply to be joined: it was given bootstrap addresses."""
        return bool(self._endpoints or self._names)

    def join(self) -> bool:
        """Try once to join, and return whether a node replied. Blocks this greenlet.

        The node sends findnode to the bootstrap addresses, looks up its own id, and fills each far
        bucket a little. A client only makes its first contacts.
        """
        seeds = self._query_addresses()
        if seeds is None:
            return False
        self._join_through(seeds)
        return True

    def join_by_table(self) -> None:
        """Join through the contacts that entered the table by themselves."""
        self._join_through(self._context.table.closest(self._context.id, self._context.params.k))

    def close(self) -> None:
        """Stop resolving host names; idempotent."""
        if self._resolver is not None:
            self._resolver.close()

    def _join_through(self, seeds: list[Contact]) -> None:
        if self._context.is_client:
            for seed in seeds:
                self._liveliness.probe(seed)
            return
        found = self._find_self(seeds)
        self._seed_far_buckets(found.unqueried(_MAX_KNOWN))

    def _query_addresses(self) -> list[Contact] | None:
        """Query all addresses, and return the contacts of the first reply.

        Names are resolved meanwhile.
        """
        self._query = query = SeedQuery(self._context, self._client, self._liveliness)
        if self._resolver is not None:
            for host, port in self._names:
                query.hold()
                self._resolver.resolve(host, partial(_send_resolved, query, port))
        query.send(self._endpoints, is_configured=True)
        query.send(self._cached_endpoints)
        seeds = query.wait(_ATTEMPT_TIMEOUT)
        self._query = None
        return seeds

    def _find_self(self, seeds: list[Contact]) -> Lookup | DisjointLookup:
        """Look up the own id, at least twice if it finds fewer than k contacts.

        In the meantime the queried nodes have pinged this one, and know it; nodes that join at the
        same time have queried it.
        """
        table, k = self._context.table, self._context.params.k
        for number in range(_MAX_SELF_LOOKUPS):
            lookup = self._lookups.find_node(table.local_id, seeds, purpose=Purpose.JOIN)
            count = len(lookup.closest())
            if count >= k or (number > 0 and len(table) <= count):
                break
        return lookup

    def _seed_far_buckets(self, known: list[Contact]) -> None:
        """Look up an id in each far bucket until it has some contacts. Maintenance finds the
        rest.

        The lookups start with ``known`` contacts besides those of the table.
        """
        self._lookups.find_until(
            [
                (self._random_id_in(index), partial(_is_filled, bucket))
                for index, bucket in enumerate(self._context.table.buckets[:-1])
                if not _is_filled(bucket)
            ],
            Purpose.JOIN,
            known,
        )

    def refresh_neighbourhood(self) -> None:
        """Look up the own id, and ping the contacts that were found but not queried."""
        found = self._lookups.find_node(self._context.id, purpose=Purpose.MAINTAIN)
        for neighbour in found.unqueried(self._context.params.k):
            self._liveliness.probe(neighbour)

    def refresh_buckets(self, before: float) -> None:
        """Look up a random id in each far bucket without a lookup since ``before``."""
        while (index := self._stale_bucket(before, include_full=True)) is not None:
            self._lookups.find_node(self._random_id_in(index), purpose=Purpose.REFRESH)

    def fill_bucket(self, before: float) -> bool:
        """Look up a random id in one far bucket with space and without a lookup since ``before``.

        Return whether there was one.
        """
        index = self._stale_bucket(before, include_full=False)
        if index is None:
            return False
        self._lookups.find_node(self._random_id_in(index), purpose=Purpose.MAINTAIN)
        return True

    def _stale_bucket(self, before: float, *, include_full: bool) -> int | None:
        """Return the first far bucket without a lookup since ``before``; None if there is none."""
        table = self._context.table
        # The last bucket is the neighbourhood, which the lookup of the own id covers.
        for index, bucket in enumerate(table.buckets[:-1]):
            if bucket.refreshed_at <= before and (include_full or table.has_space_in(index)):
                return index
        return None

    def _random_id_in(self, index: int) -> bytes:
        bucket = ids.ID_BITS - 1 - index
        return ids.random_in_bucket(self._context.id, bucket, self._context.rng)

    def add_cached(self, endpoints: Sequence[Endpoint]) -> None:
        """Query these addresses too, in the attempt in progress and in the next ones."""
        self._cached_endpoints = list(dict.fromkeys([*endpoints, *self._cached_endpoints]))[
            :_MAX_CACHED
        ]
        if self._query is not None:
            self._query.send(endpoints)

    def join_via(self, endpoints: Sequence[Endpoint]) -> None:
        """Look up the own id through these nodes, which may know another part of the network."""
        query = SeedQuery(self._context, self._client, self._liveliness)
        query.send(endpoints)
        seeds = query.wait(_ATTEMPT_TIMEOUT)
        if seeds is not None:
            self._lookups.find_node(self._context.id, seeds, purpose=Purpose.JOIN)


def _split_names(endpoints: Sequence[Endpoint]) -> tuple[list[Endpoint], list[Endpoint]]:
    """Return the endpoints with IP addresses, in canonical text, and those to be resolved.

    The latter are host names, and link-local addresses, which are then refused.
    """
    numeric: list[Endpoint] = []
    names: list[Endpoint] = []
    for host, port in endpoints:
        try:
            addr, address_bytes = canonical_address(host)
        except ValueError:
            names.append((host, port))
            continue
        if is_link_local(address_bytes):
            names.append((host, port))
        else:
            numeric.append((addr, port))
    return numeric, names


def _send_resolved(query: SeedQuery, port: int, addresses: list[str]) -> None:
    with suppress(KademluaError):  # too many calls in flight: the next attempt sends again
        query.send([(addr, port) for addr in addresses], is_configured=True)
    query.release()


def _is_filled(bucket: KBucket, _: Lookup | None = None) -> bool:
    return len(bucket.contacts) >= MIN_BUCKET_FILL
