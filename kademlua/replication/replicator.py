"""Replication: sees to it that each value stays on the ``replicas`` closest live nodes.

Most of it follows what the routing table learns: who comes near is given what it should hold,
and when a holder dies the next nearest gets its values; of the holders that do not change, the
one nearest to the key does it. Once in a while, a holder looks up the key and gives to all of
them; one that was just given the value leaves that to others (Maymounkov and Mazières 2002,
section 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gevent

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.values.store import Entry
from kademlua.lookup.service import Operations
from kademlua.replication.transfer import HandingOn
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import Crew

_JITTER = 0.2
_SCANS = 24
"""So many times in an interval the store is looked through for what is due."""
_LET_GO = 0.25
"""Who is no longer among the closest hands on and lets go after this part of an interval."""
_YOUNG = 60
"""Seconds for which one who came does not count as holding anything yet, nor a node that has
just joined as one to know who is new."""
_FILLING = 15
"""Seconds in which a node that has joined meets those who have been there for long."""
_RECENT = 180
"""Seconds in which one who came may have been forgotten by a giver that died."""
_NEAR = 8
"""Neighbours by which most keys are seen to be nearer to somebody else."""
_MANY_IN = 60
"""Seconds in which the death of many is a catastrophe."""
_SPREAD = 300
"""Seconds over which the turns are spread that are taken early, after a catastrophe."""
_WAITING = 32_768
"""Keys that may wait to be handed on; further ones stay due."""
_AT_ONCE = 4
"""Keys being handed on at a time."""
_CHUNK = 512
"""Keys looked at before others may run."""

Changes = dict[int, Contact]


class Replication:
    """The queue of what this node has to give, and its greenlets, which live while they give."""

    __slots__ = (
        "_began",
        "_clock",
        "_crew",
        "_deaths",
        "_done",
        "_handing",
        "_joined",
        "_operations",
        "_own",
        "_params",
        "_recent",
        "_renewed",
        "_scanned",
        "_stats",
        "_store",
        "_table",
        "_turns",
        "gifts",
    )

    def __init__(self, context: Context, operations: Operations, handing: HandingOn) -> None:
        self._operations = operations
        self._handing = handing
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._stats = context.stats
        self._own = to_int(context.id)
        self._began = self._scanned = self._clock()
        self._renewed = self._began
        """Since when all values are due anew, each in its turn."""
        self._done: dict[bytes, float] = {}
        """When this node itself last handed a key on to all."""
        self._recent: dict[int, float] = {}
        """When those who came lately came, by number."""
        self._deaths: list[float] = []
        self.gifts: dict[bytes, dict[Contact, None]] = {}
        """Keys, and whom they are to be given."""
        self._turns: dict[bytes, float] = {}
        """Keys that are due, and when they had last been handed on."""
        self._crew = Crew(_AT_ONCE, self._give_next, context.log)
        self._joined = -math.inf

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._crew.close()

    def look_after(self, now: float) -> None:
        """See what there is to give; greenlets of its own give it."""
        came, gone = self._table.take_changes()
        if not len(self._store):
            self._recent.clear()
            return
        if (came or gone) and now - self._joined >= _FILLING:
            self._note(came, gone, now)
            if now - self._joined >= _YOUNG:
                self._follow(came, gone, now)
        often = now - self._renewed < 2 * _SPREAD and self._renewed > self._began
        pause = _SPREAD / 20 if often else self._params.replicate_interval / _SCANS
        if now - self._scanned >= pause:
            self._scanned = now
            self._scan(now)
        self._crew.wake(len(self.gifts) + len(self._turns))

    def joined(self) -> None:
        """The node has joined: all whom it meets now are new to it, and most to nobody else."""
        self._joined = self._clock()

    def renew(self) -> None:
        """Have all values handed on soon, as if their hour had come: much has changed."""
        now = self._clock()
        if now - self._renewed > 2 * _SPREAD or self._renewed == self._began:
            self._renewed = now

    def give(self, key: bytes, to: Sequence[Contact]) -> None:
        """Have these given a key soon."""
        self.gifts.setdefault(key, {}).update(dict.fromkeys(to))
        self._crew.wake(len(self.gifts))

    # What the table learnt.

    def _note(self, came: Changes, gone: Changes, now: float) -> None:
        """Remember who came, and see whether many died at once."""
        self._recent = {n: at for n, at in self._recent.items() if now - at < _RECENT}
        for number in gone:
            self._recent.pop(number, None)
        self._recent.update(dict.fromkeys(came, now))
        if gone:
            k = self._params.k
            near = self._table.closest(self._table.own_id, k)
            radius = near[-1].number ^ self._own if len(near) == k else 1 << 160
            self._deaths = [at for at in self._deaths if now - at < _MANY_IN]
            self._deaths += [now for number in gone if number ^ self._own < radius]
            if 2 * len(self._deaths) >= k:
                self.renew()

    def _follow(self, came: Changes, gone: Changes, now: float) -> None:
        """Queue what this node has to give since these came and those went: of the keys to
        which it is the nearest of those who have been there for a while."""
        young = {number for number, at in self._recent.items() if now - at < _YOUNG}
        neighbours = self._table.closest(self._table.own_id, _NEAR)
        near = [each.number for each in neighbours if each.number not in young]
        for count, key in enumerate(self._store.keys(), start=1):
            if count % _CHUNK == 0:
                gevent.sleep(0)
            target = to_int(key)
            own = self._own ^ target
            for number in near:
                if number ^ target < own:
                    break
            else:
                self._follow_key(key, target, came, gone, young)

    def _follow_key(
        self, key: bytes, target: int, came: Changes, gone: Changes, young: set[int]
    ) -> None:
        others = self._table.closest(key, self._params.replicas)
        own, nearer = self._own ^ target, 0
        for other in others:
            if other.number ^ target > own:
                break
            if other.number not in young:
                return
            nearer += 1
        if nearer < self._params.replicas:  # this node is one of them
            del others[self._params.replicas - 1 :]
        receivers = [each for each in others if each.number in came]
        if gone and others:
            farthest = others[-1].number ^ target
            if len(others) >= self._params.replicas - 1:
                lost = sum(number ^ target < farthest for number in gone)
                receivers += others[len(others) - lost :]
            if any(number ^ target < own for number in gone):  # it did not give any more
                receivers += [each for each in others if each.number in self._recent]
        if receivers and len(self.gifts) < _WAITING:
            self.gifts.setdefault(key, {}).update(dict.fromkeys(receivers))

    # Whose turn has come.

    def _scan(self, now: float) -> None:
        """Queue the keys that nobody handed on for long."""
        interval = self._params.replicate_interval
        soonest = now - _LET_GO * (1 - _JITTER) * interval
        done: dict[bytes, float] = {}
        for count, key in enumerate(self._store.keys(), start=1):
            if count % _CHUNK == 0:
                gevent.sleep(0)
            entries = self._handing.living(key)
            if not entries:
                continue
            last = self._last(key, entries)
            if key in self._done:
                done[key] = self._done[key]
            if last > soonest and last > self._renewed:
                continue
            chance = ((self._own ^ to_int(key)) & 0xFFFF) / 0x10000
            wait = interval * (1 - _JITTER + 2 * _JITTER * chance)
            if not self._is_among_closest(key):
                wait *= _LET_GO
            due = last + wait
            if last < self._renewed and self._renewed > self._began:
                due = min(due, self._renewed + _SPREAD * (0.2 + chance))
            if due <= now and len(self._turns) < _WAITING:
                self._turns.setdefault(key, last)
        self._done = done

    def _last(self, key: bytes, entries: list[tuple[Contact, Entry]]) -> float:
        """When the values of a key were last handed on, to this node or by it."""
        given = min(entry.given for _, entry in entries)
        return max(given, self._done.get(key, 0.0), self._began)

    def _is_among_closest(self, key: bytes) -> bool:
        """Whether this node should hold a key, as far as its table knows."""
        nearest = self._table.closest(key, self._params.replicas)
        return self._is_holder(key, nearest)

    def _is_holder(self, key: bytes, nearest: list[Contact]) -> bool:
        replicas = self._params.replicas
        if len(nearest) < replicas:
            return True
        target = to_int(key)
        return self._own ^ target < nearest[replicas - 1].number ^ target

    # Giving.

    def _give_next(self) -> bool:
        """Give what is next in the queue; whether there was anything."""
        if self.gifts:
            key = next(iter(self.gifts))
            self._handing.give(key, list(self.gifts.pop(key)))
        elif self._turns:
            key = next(iter(self._turns))
            self._take_turn(key, self._turns.pop(key))
        else:
            return False
        return True

    def _take_turn(self, key: bytes, last: float) -> None:
        """Hand on to all who should hold a key; or to those who replace this node."""
        entries = self._handing.living(key)
        if not entries or self._last(key, entries) > last:
            return  # over, or somebody else was first
        self._done[key] = self._clock()
        replicas = self._params.replicas
        nearest = self._table.closest(key, replicas)
        if self._is_holder(key, nearest):
            # As in a store: the nearer half know who the farther half are.
            lookup = self._operations.find_node(
                key, count=(replicas + 1) // 2, cause=Purpose.REPLICATE
            )
            nearest = lookup.known(2 * replicas)
        if self._is_holder(key, nearest):
            self._handing.give(key, nearest[: replicas - 1], nearest[replicas - 1 :])
        else:
            self._let_go(key, [nearest[0], nearest[replicas - 1]])

    def _let_go(self, key: bytes, successors: list[Contact]) -> None:
        """Forget the values of a key once the nearest and the one who has this node's place
        have them."""
        before = dict(self._handing.living(key))
        if set(successors) <= self._handing.give(key, successors):
            for owner, entry in self._store.entries(key):
                known = before.get(owner)
                if known is not None and known.encoded == entry.encoded:
                    self._store.remove(key, owner)
                    self._stats.let_go += 1
