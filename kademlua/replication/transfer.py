"""Transferring the values of a key to other nodes that should hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from kademlua.core.contact import Contact
from kademlua.core.errors import RecordStale, StoreRefused
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport
from kademlua.core.values import records
from kademlua.core.values.conflicts import Conflict
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.tombstones import Tombstone
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.rpc.call_options import PADDED_REQUEST_BYTES
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.time_slices import in_slices
from kademlua.values.fan_out import FanOut, FanOutOptions
from kademlua.values.pacing import STORE_OVERHEAD_BYTES, UpkeepPacer


class ValueTransfer:
    """Sends stored values to other nodes, with their owner and remaining TTL.

    The rate is limited to ``Params.replication_bytes_per_second``.
    """

    __slots__ = (
        "_client",
        "_clock",
        "_context",
        "_liveliness",
        "_lookups",
        "_pacer",
        "_store",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        pacer: UpkeepPacer,
    ) -> None:
        self._context = context
        self._lookups = lookups
        self._client = client
        self._liveliness = liveliness
        self._store = context.store
        self._clock = context.clock
        self._pacer = pacer

    def has_live_entries(self, key: bytes) -> bool:
        """Return whether a key has values that live for at least one more second."""
        return bool(self._store.get(key, 1, self._clock() + 1))

    def live_entries(self, key: bytes) -> Iterator[tuple[Contact, StoreEntry]]:
        """Yield the values of a key that live for at least one more second.

        Each is read when its turn comes, and other greenlets run in between.
        """
        for owner in in_slices(self._store.owners(key), self._clock):
            entry = self._store.find(key, owner)
            if entry is not None and entry.expires_at > self._clock() + 1:
                yield owner, entry

    def push(
        self,
        key: bytes,
        recipients: Sequence[Contact],
        fallbacks: Sequence[Contact] = (),
        *,
        is_rate_limited: bool = True,
        max_ttl: float = math.inf,
    ) -> set[Contact]:
        """Send all values of a key and return the contacts that now hold all of them.

        Block this greenlet. Contacts that time out are replaced from ``fallbacks``, and get no
        further value. If most
        replies say that the owner removed or replaced a value, and at least half of the other
        replicas replied, the value is removed here, too.

        Args:
            max_ttl: Upper limit in seconds of the TTL sent, default the remaining TTL.

        Raises:
            NodeClosed: The node is closed.
        """
        holders: set[Contact] | None = None
        recipients, fallbacks = list(recipients), list(fallbacks)
        for owner, entry in self.live_entries(key):
            if is_rate_limited:
                self._pacer.wait(_store_bytes(entry), len(recipients))
            report = self._push_one(key, owner, entry, recipients, fallbacks, max_ttl)
            recipients, fallbacks = _replace_silent(recipients, fallbacks, report)
            if self._remove_obsolete(key, owner, entry, report):
                continue
            # One with a newer record counts as a holder.
            accepted = {*report.acknowledged, *_refusing(report, RecordStale.default_reason)}
            holders = accepted if holders is None else holders & accepted
        return set(recipients) if holders is None else holders

    def find_replicas(self, key: bytes) -> list[Contact]:
        """Look up the replicas of a key and as many fallbacks, and block until the lookup ends.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        replicas = self._context.params.replicas
        # As in a store, the closer half of the replicas returns the farther half.
        lookup = self._lookups.find_node(key, count=(replicas + 1) // 2, purpose=Purpose.REPLICATE)
        self._pacer.charge(PADDED_REQUEST_BYTES, lookup.queries)
        return lookup.candidates(replicas, fallback_count=replicas)

    def resolve(self, conflict: Conflict, recipients: Sequence[Contact]) -> None:
        """Send the own value of a conflict to other replicas, and take the newer one if they did.

        Raises:
            NodeClosed: The node is closed.
        """
        key, owner, transferred = conflict
        entry = self._store.find(key, owner)
        if entry is None or transferred.expires_at <= self._clock():
            return
        self._pacer.wait(_store_bytes(entry), len(recipients))
        report = self._push_one(key, owner, entry, recipients, (), math.inf)
        is_obsolete = self._remove_obsolete(key, owner, entry, report)
        if is_obsolete and 2 * report.newer_seqs.count(transferred.seq) > len(report.newer_seqs):
            with suppress(StoreRefused):
                self._store.put(key, owner, transferred)

    def _remove_obsolete(
        self, key: bytes, owner: Contact, entry: StoreEntry, report: StoreReport
    ) -> bool:
        """Remove a value if most replies say that its owner removed or replaced it.

        If one says so, and fewer than half of the other replicas have replied, ask these, too: a
        single malicious recipient must not be able to remove a value here.
        """
        replicas = self._context.params.replicas
        needed = min(replicas - 1, len(self._context.table)) / 2
        is_record = records.is_record(key, entry.encoded)
        obsolete_count = _obsolete_count(report, is_record=is_record)
        if not obsolete_count:
            return False
        if len(report.acknowledged) + obsolete_count < needed:
            asked = _recipients(report)
            others = [each for each in self.find_replicas(key)[:replicas] if each not in asked]
            self._pacer.wait(_store_bytes(entry), len(others))
            more = self._push_one(key, owner, entry, others, (), math.inf)
            report.acknowledged.extend(more.acknowledged)
            report.refused.extend(more.refused)
            report.newer_seqs.extend(more.newer_seqs)
            obsolete_count += _obsolete_count(more, is_record=is_record)
        accepted_count = len(report.acknowledged)
        if accepted_count + obsolete_count < needed or obsolete_count <= accepted_count:
            return False
        found = self._store.find(key, owner)
        if found is not None and (found.encoded, found.seq) == (entry.encoded, entry.seq):
            self._store.remove(key, owner)
        if _refusing(report, replies.REASON_REMOVED) and not is_record:
            self._store.tombstones.put(key, owner, Tombstone(entry.expires_at, entry.seq))
        return True

    def _push_one(
        self,
        key: bytes,
        owner: Contact,
        entry: StoreEntry,
        recipients: Sequence[Contact],
        fallbacks: Sequence[Contact],
        max_ttl: float,
    ) -> StoreReport:
        # Version 1.0 ignores the owner, and would store the value as owned by this node.
        is_own = owner == self._context.local_contact and entry.from_owner and max_ttl == math.inf
        if not is_own:
            is_v10 = self._liveliness.versions.is_v10
            recipients = [contact for contact in recipients if not is_v10(contact)]
            fallbacks = [contact for contact in fallbacks if not is_v10(contact)]
        report = StoreReport()
        # Rounded down, so that replication never extends the lifetime of a value.
        ttl = int(min(entry.expires_at - self._clock(), max_ttl))
        if recipients and ttl > 0:
            args = requests.encode_store_args(
                requests.StoreArguments(key, entry.encoded, ttl, owner=owner, seq=entry.seq)
            )
            request = self._client.encode("store", args)
            fan_out = FanOut(
                self._client,
                self._liveliness,
                lambda *_: request,
                FanOutOptions(on_extra=lambda: self._pacer.charge(_store_bytes(entry))),
            )
            report = fan_out.run(list(recipients), list(fallbacks))
            self._context.stats.calls_by_purpose[Purpose.REPLICATE] += fan_out.sent_count
            self._context.stats.replicated += len(report.acknowledged)
        return report


def _store_bytes(entry: StoreEntry) -> int:
    return len(entry.encoded) + STORE_OVERHEAD_BYTES


def _replace_silent(
    recipients: list[Contact], fallbacks: list[Contact], report: StoreReport
) -> tuple[list[Contact], list[Contact]]:
    """Return the recipients and fallbacks of the next value: those that did not time out."""
    silent = set(report.timed_out)
    if not silent:
        return recipients, fallbacks
    live_fallbacks = [each for each in fallbacks if each not in silent]
    live_recipients = [each for each in recipients if each not in silent]
    missing = len(recipients) - len(live_recipients)
    return live_recipients + live_fallbacks[:missing], live_fallbacks[missing:]


def _refusing(report: StoreReport, reason: str) -> list[Contact]:
    return [contact for contact, each in report.refused if each == reason]


def _obsolete_count(report: StoreReport, *, is_record: bool) -> int:
    """Return the number of replies that say that the value was removed or replaced."""
    if is_record:
        return len(_refusing(report, RecordStale.default_reason))
    return len(report.newer_seqs) + len(_refusing(report, replies.REASON_REMOVED))


def _recipients(report: StoreReport) -> set[Contact]:
    return {
        *report.acknowledged,
        *report.timed_out,
        *(contact for contact, _ in report.refused),
    }
