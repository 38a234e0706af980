"""Joining a network: from a few addresses to a filled routing table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gevent.socket
from gevent.event import AsyncResult

from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, canonical_address
from kademlua.core.errors import KademluaError, WireError
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.routing.bucket import KBucket
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import MIN_BUCKET_FILL, LivelinessManager
from kademlua.lookup.search import PADDED_REQUEST_BYTES, PADDED_REQUEST_BYTES_IPV6
from kademlua.lookup.service import LookupService
from kademlua.rpc.client import CallOptions, RpcClient
from kademlua.runtime.context import Context

_CACHED_BATCH = 16
"""Contacts of an earlier run that are queried together."""
_MAX_CACHED = 64
"""Addresses of peers, learned while running, that are remembered."""
_MAX_SELF_LOOKUPS = 4
"""Lookups of the own id in one join."""


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
        self._cached_endpoints = list(cached_endpoints)
        self._endpoints = list(endpoints)
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups

    @property
    def has_endpoints(self) -> bool:
        """Whether there is an address to join through."""
        return bool(self._endpoints or self._cached_endpoints)

    @property
    def is_required(self) -> bool:
        """Whether the node must get a reply to be joined: it was given bootstrap addresses."""
        return bool(self._endpoints)

    def join(self) -> bool:
        """Try once to join, and return whether a node replied. Blocks this greenlet.

        The node sends findnode to the bootstrap addresses, looks up its own id, and fills each far
        bucket a little. A client only makes its first contacts.
        """
        cached = self._sendable(self._cached_endpoints)
        seeds = self._query_endpoints([*self._resolve(), *cached[:_CACHED_BATCH]])
        while seeds is None and (cached := cached[_CACHED_BATCH:]):
            seeds = self._query_endpoints(cached[:_CACHED_BATCH])
        if seeds is None:
            return False
        if self._context.is_client:
            for seed in seeds:
                self._liveliness.probe(seed)
            return True
        self._find_self(seeds)
        self._seed_far_buckets()
        return True

    def _find_self(self, seeds: list[Contact]) -> None:
        """Look up the own id, at least twice if it finds fewer than k contacts.

        In the meantime the queried nodes have pinged this one, and know it; nodes that join at the
        same time have queried it.
        """
        table, k = self._context.table, self._context.params.k
        for number in range(_MAX_SELF_LOOKUPS):
            found = self._lookups.find_node(table.local_id, seeds, purpose=Purpose.JOIN).closest()
            if len(found) >= k or (number > 0 and len(table) <= len(found)):
                break

    def _seed_far_buckets(self) -> None:
        """Look up an id in each far bucket until it has some contacts. Maintenance finds the
        rest."""
        self._lookups.find_until(
            [
                (self._random_id_in(index), partial(_is_filled, bucket))
                for index, bucket in enumerate(self._context.table.buckets[:-1])
                if not _is_filled(bucket)
            ],
            Purpose.JOIN,
        )

    def refresh_neighbourhood(self) -> None:
        """Look up the own id, and ping the contacts that were found but not queried."""
        found = self._lookups.find_node(self._context.id, purpose=Purpose.MAINTAIN)
        for neighbour in found.unqueried():
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
        """Query these addresses too at the next attempt to join."""
        self._cached_endpoints = list(dict.fromkeys([*endpoints, *self._cached_endpoints]))[
            :_MAX_CACHED
        ]

    def join_via(self, endpoints: Sequence[Endpoint]) -> None:
        """Look up the own id through these nodes, which may know another part of the network."""
        seeds = self._query_endpoints(self._sendable(endpoints))
        if seeds is not None:
            self._lookups.find_node(self._context.id, seeds, purpose=Purpose.JOIN)

    def _query_endpoints(self, endpoints: Sequence[Endpoint]) -> list[Contact] | None:
        """Send findnode for the own id to these addresses.

        Return the contacts in the first reply, or None without a reply.
        """
        first_reply: AsyncResult[list[Contact] | None] = AsyncResult()
        outstanding = len(endpoints)

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            nonlocal outstanding
            outstanding -= 1
            try:
                if isinstance(result, list):
                    pool, reach = self._context.pool, self._context.address_families
                    first_reply.set(replies.decode_findnode_reply(result, pool, reach))
            except WireError as error:
                self._client.count_malformed_reply(error)
            if outstanding == 0 and not first_reply.ready():
                first_reply.set(None)

        request = self._client.encode("findnode", requests.encode_key_args(self._context.id))
        rto = self._context.params.rpc_timeout / 3
        self._context.stats.calls_by_purpose[Purpose.JOIN] += len(endpoints)
        for endpoint in endpoints:
            # Retransmitted once: a lost datagram should not cost a whole attempt.
            min_bytes = PADDED_REQUEST_BYTES_IPV6 if ":" in endpoint[0] else PADDED_REQUEST_BYTES
            options = CallOptions(on_late=_ignore_late, rto=rto, min_bytes=min_bytes)
            self._client.send(endpoint, None, request, on_done, options)
        return first_reply.get() if endpoints else None

    def _resolve(self) -> list[Endpoint]:
        """Return the bootstrap addresses; host names are resolved at each attempt."""
        return self._sendable(
            [(addr, port) for host, port in self._endpoints for addr in self._resolve_host(host)]
        )

    def _sendable(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Return the endpoints to which the node can send, each once, without its own."""
        families, local_endpoint = (
            self._context.address_families,
            self._context.transport.local_endpoint,
        )
        return [
            each
            for each in dict.fromkeys(endpoints)
            if families.supports(is_ipv6=":" in each[0]) and each != local_endpoint
        ]

    def _resolve_host(self, host: str) -> list[str]:
        """Return the IP addresses of a host; none if its name cannot be resolved now."""
        try:
            return [canonical_address(host)[0]]
        except ValueError:
            pass
        try:
            rows = gevent.socket.getaddrinfo(host, None, type=gevent.socket.SOCK_DGRAM)
        except OSError as error:
            self._context.log.warning("bootstrap address %s: %s", host, error)
            return []
        return [canonical_address(str(row[4][0]))[0] for row in rows if "%" not in str(row[4][0])]


def _is_filled(bucket: KBucket, _: Lookup | None = None) -> bool:
    return len(bucket.contacts) >= MIN_BUCKET_FILL


def _ignore_late(_: PendingCall) -> None:
    """A late answer at the bootstrap is waited for."""
