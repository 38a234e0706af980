"""Read repair: a reader reports the replicas that lack a value to a node that holds it.

The report is the RPC ``lacks``. The reader knows neither the owner nor the expiry of a value;
the holder knows both and transfers the value. The report may also name a node on the lookup path
that caches the value (Maymounkov and Mazières 2002, section 2.3). The TTL of a cached
value decreases with the distance to the key.
"""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import BadArguments, KademluaError, WireError
from kademlua.core.ids import ID_BYTES, is_id, to_int
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.routing.replica_set import other_replicas
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.value_search import ValueSearch
from kademlua.replication.replicator import Replicator
from kademlua.replication.transfer import ValueTransfer
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import WorkerPool

_REPEAT_AFTER: Final = 300.0
"""Seconds in which a key is not sent to the same node again, whichever peer reports it."""
_MAX_REMEMBERED: Final = 4_096
_MAX_PENDING: Final = 256
"""Pending transfers above which reports are ignored."""
_MAX_CACHES: Final = 64
"""Pending cache transfers above which further caches are ignored."""


class ReadRepair:
    """Reports missing values after reads, and handles the reports of peers."""

    __slots__ = (
        "_caches",
        "_client",
        "_context",
        "_liveliness",
        "_local_int",
        "_params",
        "_replicator",
        "_scheduled_at",
        "_transfer",
        "_workers",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        transfer: ValueTransfer,
        replicator: Replicator,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._transfer = transfer
        self._replicator = replicator
        self._params = context.params
        self._local_int = to_int(context.id)
        self._scheduled_at: dict[tuple[bytes, int], float] = {}
        """Time of the last transfer by key and node id, oldest first."""
        self._caches: dict[tuple[bytes, Contact], float] = {}
        """Pending cache transfers: TTL in seconds by key and contact."""
        self._workers = WorkerPool(1, self._cache_next, context.log)

    def close(self) -> None:
        """Stop all transfers. Idempotent."""
        self._workers.close()

    # The reader.

    def after_find(self, value_search: ValueSearch) -> None:
        """Report missing replicas to a holder that speaks version 2; does not block."""
        missing = value_search.missing_replicas()
        cache = value_search.cache_candidate() if self._params.cache_ttl else None
        if not missing and cache is None:
            return
        if cache in missing:
            cache = None
        local_contact = self._context.local_contact
        for holder in value_search.holders:
            if holder == local_contact:
                self._schedule(value_search.key, {each.id for each in missing}, cache)
            elif self._liveliness.versions.is_v10(holder):
                continue
            else:
                self._send_lacks(
                    holder, requests.encode_lacks_args(value_search.key, missing, cache)
                )
            return

    def _send_lacks(self, holder: Contact, args: bytes) -> None:
        try:
            request = self._client.encode("lacks", args)
            self._client.send(holder.endpoint, holder, request, _ignore_reply)
            self._context.stats.calls_by_purpose[Purpose.READ_REPAIR] += 1
        except KademluaError as error:
            self._context.log.info("missing replicas could not be reported to a holder: %s", error)

    # The holder.

    def handle_lacks(self, request: Request, endpoint: Endpoint) -> bytes:
        """Handle lacks: the sender reports nodes that lack a value, and perhaps a cache."""
        args = request.args
        key, packed_ids = args[0] if args else None, args[1] if len(args) > 1 else None
        if type(key) is not bytes or not is_id(key) or type(packed_ids) is not bytes:
            raise BadArguments("lacks needs a key and ids")
        packed_ids = packed_ids[: self._params.replicas * ID_BYTES]
        ends = range(ID_BYTES, len(packed_ids) + 1, ID_BYTES)
        cache = None
        if len(args) > 2:
            try:
                cache = replies.decode_contact(args[2], self._context.pool)
            except WireError as error:
                raise BadArguments(str(error)) from None
            if not self._client.gate.may_name(endpoint, cache):
                cache = None
        node_ids = {packed_ids[end - ID_BYTES : end] for end in ends}
        return replies.encode_lacks_reply(self._schedule(key, node_ids, cache))

    def _schedule(self, key: bytes, node_ids: set[bytes], cache: Contact | None) -> int:
        """Queue a key for those of the nodes that should hold it; return their number."""
        if len(self._replicator.pending_transfers) >= _MAX_PENDING:
            return 0
        if not self._transfer.has_live_entries(key):
            return 0
        nearest = self._other_replicas(key)
        recipients = [
            each
            for each in nearest
            if each.id in node_ids
            and not self._liveliness.versions.is_v10(each)
            and self._claim(key, each)
        ]
        if recipients:
            self._replicator.enqueue(key, recipients)
        if cache is not None and cache not in nearest and len(self._caches) < _MAX_CACHES:
            ttl = self._cache_ttl(key, nearest, cache)
            if ttl >= 1 and self._claim(key, cache):
                self._caches[key, cache] = ttl
                self._workers.notify(1)
        return len(recipients)

    def _other_replicas(self, key: bytes) -> list[Contact]:
        """Return the other contacts that should hold a key, nearest first."""
        replicas = self._params.replicas
        closest = self._context.table.closest(key, replicas)
        return other_replicas(self._local_int, to_int(key), closest, replicas)

    def _claim(self, key: bytes, contact: Contact) -> bool:
        """Record and return True unless this key was sent there in the last 5 minutes."""
        now, key_and_node = self._context.clock(), (key, contact.id_int)
        if now - self._scheduled_at.get(key_and_node, -_REPEAT_AFTER) < _REPEAT_AFTER:
            return False
        self._scheduled_at.pop(key_and_node, None)
        if len(self._scheduled_at) >= _MAX_REMEMBERED:
            del self._scheduled_at[next(iter(self._scheduled_at))]
        self._scheduled_at[key_and_node] = now
        return True

    # Caches.

    def _cache_ttl(self, key: bytes, nearest: list[Contact], cache: Contact) -> float:
        """Return the TTL of a cached value in seconds.

        It is ``Params.cache_ttl``, halved for each doubling of the distance beyond that of the
        farthest replica.
        """
        target_int = to_int(key)
        radius = nearest[-1].id_int ^ target_int if nearest else self._local_int ^ target_int
        doublings = (cache.id_int ^ target_int).bit_length() - radius.bit_length()
        return self._params.cache_ttl * 0.5 ** max(doublings, 0)

    def _cache_next(self) -> bool:
        if not self._caches:
            return False
        (key, cache), ttl = next(iter(self._caches.items()))
        del self._caches[key, cache]
        # A report may name any address: the outgoing gate demands a reply before the value.
        self._transfer.push(key, [cache], max_ttl=ttl)
        return True


def _ignore_reply(_: PendingCall, result: list[Any] | KademluaError) -> None:
    """Ignore the reply: the report is best effort."""
