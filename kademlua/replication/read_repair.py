"""Mending: who reads a value tells a holder of others that should hold it, and do not.

The reader knows neither the owner of a value nor when it ends; a holder does, and hands it on.
The same word lets a value be cached on the way to it (Maymounkov and Mazières 2002, section
2.3), for a time that falls with the distance.
"""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, RpcRefused, WireError
from kademlua.core.ids import ID_BYTES, is_id, to_int
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import Purpose
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.value_search import Finding
from kademlua.replication.replicator import Replication
from kademlua.replication.transfer import HandingOn
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import Crew

_AGAIN = 300.0
"""Seconds in which one is not given the same again, whoever says that it lacks it."""
_REMEMBERED = 4_096
_BUSY = 256
"""Keys that wait to be given to others, beyond which strangers' words add none."""
_CACHES = 64
"""Caches that may wait to be given what they asked for; the others do without."""


class Mending:
    """What one node does about values that are missing where they should be."""

    __slots__ = (
        "_caches",
        "_caller",
        "_context",
        "_crew",
        "_given",
        "_handing",
        "_liveliness",
        "_own",
        "_params",
        "_replication",
    )

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        handing: HandingOn,
        replication: Replication,
    ) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._handing = handing
        self._replication = replication
        self._params = context.params
        self._own = to_int(context.id)
        self._given: dict[tuple[bytes, int], float] = {}
        """When who was given which key for somebody's word, the last one last."""
        self._caches: dict[tuple[bytes, Contact], float] = {}
        """Who waits to cache which key, and for how long."""
        self._crew = Crew(1, self._cache_next, context.log)

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._crew.close()

    # The reader.

    def follow(self, finding: Finding) -> None:
        """Tell a holder who lacks what was found; does not block."""
        lacking = finding.lacking()
        cache = finding.met_last() if self._params.cache_ttl else None
        if not lacking and cache is None:
            return
        if cache in lacking:
            cache = None
        own = self._context.contact
        for holder in finding.holders:
            if holder == own:
                self._give(finding.key, {each.id for each in lacking}, cache)
            elif self._liveliness.is_original(holder):
                continue
            else:
                self._tell(holder, requests.args_lacks(finding.key, lacking, cache))
            return

    def _tell(self, holder: Contact, args: bytes) -> None:
        try:
            question = self._caller.question("lacks", args)
            self._caller.send(holder.endpoint, holder, question, _do_nothing)
            self._context.stats.caused[Purpose.READ_REPAIR] += 1
        except KademluaError as error:
            self._context.log.info("a holder could not be told who lacks a value: %s", error)

    # The holder.

    def lacks(self, request: Request, endpoint: Endpoint) -> bytes:
        """The RPC lacks: its sender says that these do not have what they should."""
        args = request.args
        key, lacking = args[0] if args else None, args[1] if len(args) > 1 else None
        if type(key) is not bytes or not is_id(key) or type(lacking) is not bytes:
            raise RpcRefused("lacks needs a key and ids")
        lacking = lacking[: self._params.replicas * ID_BYTES]
        ends = range(ID_BYTES, len(lacking) + 1, ID_BYTES)
        cache = None
        if len(args) > 2 and self._params.cache_ttl:
            try:
                cache = replies.read_contact(args[2], self._context.pool)
            except WireError as error:
                raise RpcRefused(str(error)) from None
        node_ids = {lacking[end - ID_BYTES : end] for end in ends}
        return replies.lacks_reply(self._give(key, node_ids, cache))

    def _give(self, key: bytes, node_ids: set[bytes], cache: Contact | None) -> int:
        """See to it that these are given a key, as far as they should hold it; how many."""
        if len(self._replication.gifts) >= _BUSY or not self._handing.living(key):
            return 0
        nearest = self._other_holders(key)
        wanted = [each for each in nearest if each.id in node_ids and self._is_due(key, each)]
        if wanted:
            self._replication.give(key, wanted)
        if cache is not None and cache not in nearest and len(self._caches) < _CACHES:
            seconds = self._cache_seconds(key, nearest, cache)
            if seconds >= 1 and self._is_due(key, cache):
                self._caches[key, cache] = seconds
                self._crew.wake(1)
        return len(wanted)

    def _other_holders(self, key: bytes) -> list[Contact]:
        """Who should hold a key beside this node, or in its stead; nearest first."""
        replicas, target = self._params.replicas, to_int(key)
        nearest = self._context.table.closest(key, replicas)
        if len(nearest) == replicas and self._own ^ target < nearest[-1].number ^ target:
            nearest.pop()
        return nearest

    def _is_due(self, key: bytes, contact: Contact) -> bool:
        """Whether this one was not given it just now."""
        now, which = self._context.clock(), (key, contact.number)
        if now - self._given.get(which, -_AGAIN) < _AGAIN:
            return False
        self._given.pop(which, None)
        if len(self._given) >= _REMEMBERED:
            del self._given[next(iter(self._given))]
        self._given[which] = now
        return True

    # Caches.

    def _cache_seconds(self, key: bytes, nearest: list[Contact], cache: Contact) -> float:
        """How long a value may be cached there: with each doubling of the distance, beginning
        with that of the farthest holder, half as long."""
        target = to_int(key)
        radius = nearest[-1].number ^ target if nearest else self._own ^ target
        doublings = (cache.number ^ target).bit_length() - radius.bit_length()
        return self._params.cache_ttl * 0.5 ** max(doublings, 0)

    def _cache_next(self) -> bool:
        if not self._caches:
            return False
        (key, cache), seconds = next(iter(self._caches.items()))
        del self._caches[key, cache]
        # Anybody may name anybody: nothing is sent to who does not answer under this id.
        if self._liveliness.is_fresh(cache) or self._liveliness.is_alive(cache):
            self._handing.give(key, [cache], at_most=seconds)
        return True


def _do_nothing(_: Call, result: list[Any] | KademluaError) -> None:
    """Whether the holder sees to it is its affair."""
