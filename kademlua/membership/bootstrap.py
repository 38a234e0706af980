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
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import Purpose
from kademlua.core.routing.bucket import KBucket
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import FOOTHOLD, LivelinessManager
from kademlua.lookup.search import PADDED, PADDED_V6
from kademlua.lookup.service import Operations
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context

_KNOWN_AT_ONCE = 16
"""Contacts of a former life that are asked at a time."""
_KNOWN = 64
"""Addresses that are kept of those this node was told of as it ran."""
_LOOKS = 4
"""Lookups of the own id in one join, at most."""


class Bootstrap:
    """Takes one node into the network that lies behind its bootstrap addresses."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        operations: Operations,
        known: Sequence[Endpoint] = (),
    ) -> None:
        """``known`` are asked like the bootstrap addresses; but a node without any of those
        is in no need of an answer."""
        self._known = list(known)
        self._endpoints = list(endpoints)
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._operations = operations

    @property
    def is_wanted(self) -> bool:
        """Whether there is anybody to bootstrap from."""
        return bool(self._endpoints or self._known)

    @property
    def is_needed(self) -> bool:
        """Whether without an answer there is no network: it was told where one is."""
        return bool(self._endpoints)

    def join(self) -> bool:
        """Try once, blocking this greenlet; whether somebody answered.

        Findnode of the own id at the bootstrap addresses, lookup of the own id, and a foothold
        in each far bucket. A client only makes its first contacts.
        """
        known = self._within_reach(self._known)
        seeds = self._ask_around([*self._resolve(), *known[:_KNOWN_AT_ONCE]])
        while seeds is None and (known := known[_KNOWN_AT_ONCE:]):
            seeds = self._ask_around(known[:_KNOWN_AT_ONCE])
        if seeds is None:
            return False
        if self._context.is_client:
            for seed in seeds:
                self._liveliness.probe(seed)
            return True
        self._look(seeds)
        self._gain_footholds()
        return True

    def _look(self, seeds: list[Contact]) -> None:
        """Look up the own id; where it finds fewer than k, once more at least. Meanwhile those
        that were asked have pinged this node, and know it when it has joined; and others who
        are joining just now have asked it, and know more of them."""
        table, k = self._context.table, self._context.params.k
        for number in range(_LOOKS):
            found = self._operations.find_node(table.own_id, seeds, cause=Purpose.JOIN).closest()
            if len(found) >= k or (number > 0 and len(table) <= len(found)):
                break

    def _gain_footholds(self) -> None:
        """Look up an id in each far bucket until it has some contacts. The rest of them, and
        who joined at the same time, come with upkeep: a join costs a fifth so."""
        self._operations.find_some(
            [
                (self._id_in(index), partial(_has_foothold, bucket))
                for index, bucket in enumerate(self._context.table.buckets[:-1])
                if not _has_foothold(bucket)
            ],
            Purpose.JOIN,
        )

    def look_around(self) -> None:
        """See the neighbours: look up the own id, ping those heard of and not asked."""
        found = self._operations.find_node(self._context.id, cause=Purpose.MAINTAIN)
        for neighbour in found.unasked():
            self._liveliness.probe(neighbour)

    def refresh(self, before: float) -> None:
        """Look up a random id in each far bucket in which nothing was since ``before``."""
        while (index := self._stale(before, even_full=True)) is not None:
            self._operations.find_node(self._id_in(index), cause=Purpose.REFRESH)

    def fill(self, before: float) -> bool:
        """Look up a random id in one far bucket that has room, and in which nothing was since
        ``before``; whether there was one."""
        index = self._stale(before, even_full=False)
        if index is None:
            return False
        self._operations.find_node(self._id_in(index), cause=Purpose.MAINTAIN)
        return True

    def _stale(self, before: float, *, even_full: bool) -> int | None:
        """The first far bucket in which nothing was looked up since ``before``."""
        table = self._context.table
        # The last bucket is the neighbourhood, which the lookup of the own id covers.
        for index, bucket in enumerate(table.buckets[:-1]):
            if bucket.looked_up <= before and (even_full or table.has_room_in(index)):
                return index
        return None

    def _id_in(self, index: int) -> bytes:
        number = ids.ID_BITS - 1 - index
        return ids.random_in_bucket(self._context.id, number, self._context.rng)

    def learn(self, endpoints: Sequence[Endpoint]) -> None:
        """Ask these, too, when joining is tried again."""
        self._known = list(dict.fromkeys([*endpoints, *self._known]))[:_KNOWN]

    def meet(self, endpoints: Sequence[Endpoint]) -> None:
        """Look up the own id by way of these, who may know another part of the network, such
        as one that was cut off."""
        seeds = self._ask_around(self._within_reach(endpoints))
        if seeds is not None:
            self._operations.find_node(self._context.id, seeds, cause=Purpose.JOIN)

    def _ask_around(self, endpoints: Sequence[Endpoint]) -> list[Contact] | None:
        """Findnode of the own id at these addresses: the contacts in the first answer, or
        None where nobody answered."""
        first: AsyncResult[list[Contact] | None] = AsyncResult()
        left = len(endpoints)

        def done(_: Call, result: list[Any] | KademluaError) -> None:
            nonlocal left
            left -= 1
            try:
                if isinstance(result, list):
                    pool, reach = self._context.pool, self._context.reach
                    first.set(replies.read_findnode(result, pool, reach))
            except WireError as error:
                self._caller.note_bad_answer(error)
            if left == 0 and not first.ready():
                first.set(None)

        question = self._caller.question("findnode", requests.args_key(self._context.id))
        patience = self._context.params.rpc_timeout / 3
        self._context.stats.caused[Purpose.JOIN] += len(endpoints)
        for endpoint in endpoints:
            # One lost datagram shall not cost a whole try: it is sent once more.
            self._caller.send(
                endpoint,
                None,
                question,
                done,
                late=_wait_on,
                patience=patience,
                least=PADDED_V6 if ":" in endpoint[0] else PADDED,
            )
        return first.get() if endpoints else None

    def _resolve(self) -> list[Endpoint]:
        """The bootstrap addresses; names are asked for anew at each try."""
        return self._within_reach(
            [(addr, port) for host, port in self._endpoints for addr in self._addresses_of(host)]
        )

    def _within_reach(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Those that it can send to, each once, without its own."""
        reach, own = self._context.reach, self._context.transport.local
        return [each for each in dict.fromkeys(endpoints) if reach[":" in each[0]] and each != own]

    def _addresses_of(self, host: str) -> list[str]:
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


def _has_foothold(bucket: KBucket, _: Lookup | None = None) -> bool:
    return len(bucket.contacts) >= FOOTHOLD


def _wait_on(_: Call) -> None:
    """A late answer at the bootstrap is waited for."""
