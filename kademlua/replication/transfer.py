"""Handing on: the values of one key on their way to others who should hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gevent

from kademlua.core.contact import Contact
from kademlua.core.errors import RecordStale
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport
from kademlua.core.values import records
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.values.fan_out import FanOut

_BURST_SECONDS = 0.5
"""Seconds' worth of bytes that may go at once."""
_STORE_OVERHEAD = 60
"""Bytes around the payload of a store and its answer."""


class ValueTransfer:
    """Gives others what this node holds, each value under its owner and for what remains of
    its time; no faster than ``Params.replication_bytes_per_second``."""

    __slots__ = (
        "_client",
        "_clock",
        "_context",
        "_liveliness",
        "_next_send_at",
        "_store",
        "_tombstones",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        tombstones: Tombstones,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._tombstones = tombstones
        self._store = context.store
        self._clock = context.clock
        self._next_send_at = self._clock()

    def live_entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """The values of a key that have a second left to live."""
        min_expires_at = self._clock() + 1
        return [each for each in self._store.entries(key) if each[1].expires_at > min_expires_at]

    def push(
        self,
        key: bytes,
        recipients: Sequence[Contact],
        fallbacks: Sequence[Contact] = (),
        *,
        is_rate_limited: bool = True,
        max_ttl: float = math.inf,
    ) -> set[Contact]:
        """Hand on all values of a key, blocking this greenlet; who has all of them now.

        Each is given the seconds that remain to it, but ``max_ttl`` so many.
        Who is silent is replaced by one of the ``fallbacks``. Where most of those who answer say
        that the owner removed a value, and at least half of all who should hold it answered, it is
        gone here, too. Raises NodeClosed.
        """
        holders: set[Contact] | None = None
        for owner, entry in self.live_entries(key):
            if is_rate_limited:
                self._throttle((len(entry.encoded) + 2 * _STORE_OVERHEAD) * len(recipients))
            report = self._push_one(key, owner, entry, recipients, fallbacks, max_ttl)
            accepted = set(report.acknowledged)
            if records.is_record(key, entry.encoded):  # nobody can take it away
                accepted.update(
                    each for each, reason in report.refused if reason == RecordStale.default_reason
                )
                holders = accepted if holders is None else holders & accepted
                continue
            removed = sum(reason == replies.REASON_REMOVED for _, reason in report.refused)
            if removed > len(accepted) and self._is_enough_evidence(removed + len(accepted)):
                self._store.remove(key, owner)
                self._tombstones.put(key, owner, entry.expires_at)
                continue
            holders = accepted if holders is None else holders & accepted
        return set(recipients) if holders is None else holders

    def _is_enough_evidence(self, count: int) -> bool:
        """Whether so many are half of those who should hold a value beside this node: whoever
        comes to be given it alone shall not have it removed by his word alone."""
        other_replicas = min(self._context.params.replicas - 1, len(self._context.table))
        return 2 * count >= other_replicas

    def _push_one(
        self,
        key: bytes,
        owner: Contact,
        entry: StoreEntry,
        recipients: Sequence[Contact],
        fallbacks: Sequence[Contact],
        max_ttl: float,
    ) -> StoreReport:
        # As the owner's it takes the place of what its owner stored: so it is not to live shorter,
        # nor to be what somebody else said was ours.
        as_owner = owner == self._context.local_contact and entry.from_owner and max_ttl == math.inf
        if not as_owner:  # 1.0 would keep it as ours
            is_v10 = self._liveliness.is_v10
            recipients = [contact for contact in recipients if not is_v10(contact)]
            fallbacks = [contact for contact in fallbacks if not is_v10(contact)]
        report = StoreReport()
        # The seconds are rounded down: to hand on must never make them more.
        ttl = int(min(entry.expires_at - self._clock(), max_ttl))
        if recipients and ttl > 0:
            args = requests.encode_store_args(
                requests.StoreArguments(key, entry.encoded, ttl, owner=None if as_owner else owner)
            )
            request = self._client.encode("store", args)
            fan_out = FanOut(self._client, self._liveliness, request, report)
            fan_out.run(list(recipients), list(fallbacks))
            self._context.stats.calls_by_purpose[Purpose.REPLICATE] += fan_out.sent_count
            self._context.stats.replicated += len(report.acknowledged)
        return report

    def _throttle(self, byte_count: int) -> None:
        """Sleep until so many bytes may be sent."""
        now = self._clock()
        seconds = byte_count / self._context.params.replication_bytes_per_second
        self._next_send_at = max(self._next_send_at, now - _BURST_SECONDS) + seconds
        if self._next_send_at > now:
            gevent.sleep(self._next_send_at - now)
