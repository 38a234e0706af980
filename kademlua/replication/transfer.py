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
from kademlua.core.values.store import Entry
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context
from kademlua.values.fan_out import Placement

_BURST = 0.5
"""Seconds' worth of bytes that may go at once."""
_AROUND = 60
"""Bytes around the payload of a store and its answer."""


class HandingOn:
    """Gives others what this node holds, each value under its owner and for what remains of
    its time; no faster than ``Params.replication_rate``."""

    __slots__ = (
        "_caller",
        "_clock",
        "_context",
        "_free_at",
        "_liveliness",
        "_store",
        "_tombstones",
    )

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        tombstones: Tombstones,
    ) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._tombstones = tombstones
        self._store = context.store
        self._clock = context.clock
        self._free_at = self._clock()

    def living(self, key: bytes) -> list[tuple[Contact, Entry]]:
        """The values of a key that have a second left to live."""
        least = self._clock() + 1
        return [each for each in self._store.entries(key) if each[1].expires > least]

    def give(
        self,
        key: bytes,
        to: Sequence[Contact],
        spares: Sequence[Contact] = (),
        *,
        is_paced: bool = True,
        at_most: float = math.inf,
    ) -> set[Contact]:
        """Hand on all values of a key, blocking this greenlet; who has all of them now.

        Each is given the seconds that remain to it, but ``at_most`` so many.
        Who is silent is replaced by one of the ``spares``. Where most of those who answer say
        that the owner removed a value, and at least half of all who should hold it answered, it is
        gone here, too. Raises NodeClosed.
        """
        holders: set[Contact] | None = None
        for owner, entry in self.living(key):
            if is_paced:
                self._wait_for((len(entry.encoded) + 2 * _AROUND) * len(to))
            report = self._give_one(key, owner, entry, to, spares, at_most)
            took = set(report.acknowledged)
            if records.is_record(key, entry.encoded):  # nobody can take it away
                took.update(each for each, reason in report.refused if reason == RecordStale.usual)
                holders = took if holders is None else holders & took
                continue
            removed = sum(reason == replies.REMOVED for _, reason in report.refused)
            if removed > len(took) and self._are_many(removed + len(took)):
                self._store.remove(key, owner)
                self._tombstones.put(key, owner, entry.expires)
                continue
            holders = took if holders is None else holders & took
        return set(to) if holders is None else holders

    def _are_many(self, count: int) -> bool:
        """Whether so many are half of those who should hold a value beside this node: whoever
        comes to be given it alone shall not have it removed by his word alone."""
        others = min(self._context.params.replicas - 1, len(self._context.table))
        return 2 * count >= others

    def _give_one(
        self,
        key: bytes,
        owner: Contact,
        entry: Entry,
        to: Sequence[Contact],
        spares: Sequence[Contact],
        at_most: float,
    ) -> StoreReport:
        # As the owner's it takes the place of what its owner stored: so it is not to live shorter,
        # nor to be what somebody else said was ours.
        is_own = owner == self._context.contact and entry.is_direct and at_most == math.inf
        if not is_own:  # 1.0 would keep it as ours
            is_original = self._liveliness.is_original
            to = [contact for contact in to if not is_original(contact)]
            spares = [contact for contact in spares if not is_original(contact)]
        report = StoreReport()
        # The seconds are rounded down: to hand on must never make them more.
        remains = int(min(entry.expires - self._clock(), at_most))
        if to and remains > 0:
            args = requests.args_store(
                key, entry.encoded, False, remains, None if is_own else owner
            )
            question = self._caller.question("store", args)
            placement = Placement(self._caller, self._liveliness, question, report)
            placement.run(list(to), list(spares))
            self._context.stats.caused[Purpose.REPLICATE] += placement.sent
            self._context.stats.handed_on += len(report.acknowledged)
        return report

    def _wait_for(self, count: int) -> None:
        """Sleep until so many bytes may be sent."""
        now = self._clock()
        seconds = count / self._context.params.replication_rate
        self._free_at = max(self._free_at, now - _BURST) + seconds
        if self._free_at > now:
            gevent.sleep(self._free_at - now)
