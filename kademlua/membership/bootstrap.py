"""Joining a network: from a few addresses to a routing table that is good everywhere."""

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
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

_CACHED_BATCH = 16
"""Contacts of a former life that are asked at a time."""
_MAX_CACHED = 64
"""Addresses that are kept of those this node was told of as it ran."""
_MAX_SELF_LOOKUPS = 4
"""Lookups of the own id in one join, at most."""


class Bootstrap:
    """Takes one node into the network that lies behind its bootstrap addresses."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        cached_endpoints: Sequence[Endpoint] = (),
    ) -> None:
        """``cached_endpoints`` are asked like the bootstrap addresses; but a node without any of
        those is in no need of an answer."""
        self._cached_endpoints = list(cached_endpoints)
        self._endpoints = list(endpoints)
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups

    @property
    def has_endpoints(self) -> bool:
        """Whether there is anybody to bootstrap from."""
        return bool(self._endpoints or self._cached_endpoints)

    @property
    def is_required(self) -> bool:
        """Whether without an answer there is no network: it was told where one is."""
        return bool(self._endpoints)

    def join(self) -> bool:
        """Try once, blocking this greenlet; whether somebody answered.

        Findnode of the own id at the bootstrap addresses, lookup of the own id, and a foothold
        in each far bucket. A client only makes its first contacts.
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
        """Look up the own id; where it finds fewer than k, once more at least. Meanwhile those
        that were asked have pinged this node, and know it when it has joined; and others who
        are joining just now have asked it, and know more of them."""
        table, k = self._context.table, self._context.params.k
        for number in range(_MAX_SELF_LOOKUPS):
            found = self._lookups.find_node(table.local_id, seeds, purpose=Purpose.JOIN).closest()
            if len(found) >= k or (number > 0 and len(table) <= len(found)):
                break

    def _seed_far_buckets(self) -> None:
        """Look up an id in each far bucket until it has some contacts. The rest of them, and
        who joined at the same time, come with upkeep: a join costs a fifth so."""
        self._lookups.find_until(
            [
                (self._random_id_in(index), partial(_is_filled, bucket))
                for index, bucket in enumerate(self._context.table.buckets[:-1])
                if not _is_filled(bucket)
            ],
            Purpose.JOIN,
        )

    def refresh_neighbourhood(self) -> None:
        """See the neighbours: look up the own id, ping those heard of and not asked."""
        found = self._lookups.find_node(self._context.id, purpose=Purpose.MAINTAIN)
        for neighbour in found.unqueried():
            self._liveliness.probe(neighbour)

    def refresh_buckets(self, before: float) -> None:
        """Look up a random id in each far bucket in which nothing was since ``before``."""
        while (index := self._stale_bucket(before, include_full=True)) is not None:
            self._lookups.find_node(self._random_id_in(index), purpose=Purpose.REFRESH)

    def fill_bucket(self, before: float) -> bool:
        """Look up a random id in one far bucket that has room, and in which nothing was since
        ``before``; whether there was one."""
        index = self._stale_bucket(before, include_full=False)
        if index is None:
            return False
        self._lookups.find_node(self._random_id_in(index), purpose=Purpose.MAINTAIN)
        return True

    def _stale_bucket(self, before: float, *, include_full: bool) -> int | None:
        """The first far bucket in which nothing was looked up since ``before``."""
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
        """Ask these, too, when joining is tried again."""
        self._cached_endpoints = list(dict.fromkeys([*endpoints, *self._cached_endpoints]))[
            :_MAX_CACHED
        ]

    def join_via(self, endpoints: Sequence[Endpoint]) -> None:
        """Look up the own id by way of these, who may know another part of the network, such
        as one that was cut off."""
        seeds = self._query_endpoints(self._sendable(endpoints))
        if seeds is not None:
            self._lookups.find_node(self._context.id, seeds, purpose=Purpose.JOIN)

    def _query_endpoints(self, endpoints: Sequence[Endpoint]) -> list[Contact] | None:
        """Findnode of the own id at these addresses: the contacts in the first answer, or
        None where nobody answered."""
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
            # One lost datagram shall not cost a whole try: it is sent once more.
            self._client.send(
                endpoint,
                None,
                request,
                on_done,
                on_late=_ignore_late,
                rto=rto,
                min_bytes=PADDED_REQUEST_BYTES_IPV6 if ":" in endpoint[0] else PADDED_REQUEST_BYTES,
            )
        return first_reply.get() if endpoints else None

    def _resolve(self) -> list[Endpoint]:
        """The bootstrap addresses; names are asked for anew at each try."""
        return self._sendable(
            [(addr, port) for host, port in self._endpoints for addr in self._resolve_host(host)]
        )

    def _sendable(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Those that it can send to, each once, without its own."""
        families, local_endpoint = (
            self._context.address_families,
            self._context.transport.local_endpoint,
        )
        return [
            each
            for each in dict.fromkeys(endpoints)
            if families[":" in each[0]] and each != local_endpoint
        ]

    def _resolve_host(self, host: str) -> list[str]:
        """The IP addresses of a host; none where its name can't be resolved now."""
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
