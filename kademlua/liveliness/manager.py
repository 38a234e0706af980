"""The liveliness manager: who is alive, and the greenlet that finds out.

The greenlet lives while there is somebody to probe: at rest it would cost each node 9 kB.

Weak: heard from lately. Strong: answers a ping now. It keeps the routing table true: who
answers enters, who is dead leaves, strangers with a place to be had are asked whether they
are there. Probes are paced, bounded, and shared by all who wait for the same contact.
"""

from __future__ import annotations

import math
from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import AsyncResult

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import Purpose
from kademlua.core.security.validated_addresses import VERIFIED_FOR
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.rpc.address_validation import Strangers
from kademlua.rpc.client import Caller
from kademlua.rpc.timeouts import Patience
from kademlua.runtime.context import Context

FOOTHOLD = 4
"""Contacts that a far bucket should have soon; those beyond come with the lookups."""
_JITTER = 0.1
_PROVE_AFTER = 0.95 * VERIFIED_FOR
"""Who asks and has not answered for so many seconds is pinged: a request proves nothing."""
_KNOWN_FOR = 0.9 * VERIFIED_FOR
"""Seconds for which a contact that we answered is taken to know this node's address."""
_GRACE = 0.05
"""Part of the time after which a contact is pinged by which the one of two goes first."""
_MAX_DEAD = 256
_MAX_REVIVED = 8
_MAX_ORIGINALS = 4_096
_FAREWELL_TRIES = 2
"""Pings to one who said farewell, until it counts as gone."""
_REST = 0.05
"""Seconds that the greenlet sleeps when it has used up what it may send."""


class _Probe:
    """A contact being pinged until it answers or counts as dead."""

    __slots__ = ("contact", "has_handed_over", "result", "step", "tries")

    def __init__(self, contact: Contact, tries: int) -> None:
        self.contact = contact
        self.tries = tries
        self.step = 0
        self.has_handed_over = False
        """It said so, in a farewell."""
        self.result: AsyncResult[bool] | None = None


class LivelinessManager:
    """Keeps one node's routing table true."""

    def __init__(self, context: Context, caller: Caller, strangers: Strangers) -> None:
        self._context = context
        self._strangers = strangers
        self._caller = caller
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self.patience = Patience(context)
        self._probes: dict[Contact, _Probe] = {}
        self._queue: dict[Contact, _Probe] = {}
        self._dead: dict[Contact, float] = {}
        """When contacts were found dead, those of late, the last one last."""
        self._originals: dict[bytes, None] = {}
        """Ids of some that speak version 1.0."""
        self.revived: list[Contact] = []
        """Some contacts that had been found dead and were heard from again; whoever asks
        after them clears it."""
        self._allowance = self._params.probe_rate
        self._counted_at = self._clock()
        self._greenlet: Greenlet[..., None] | None = None
        self._closed = False
        caller.changed = self.changed

    def close(self) -> None:
        """End the greenlet; whoever waits for a probe gets NodeClosed. Idempotent."""
        self._closed = True
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._greenlet = None
        self._queue.clear()
        for probe in list(self._probes.values()):
            self._give_up(probe, NodeClosed("the node is closed"))

    # What the packet's way reports; nothing of this blocks.

    def asked(self, request: Request, endpoint: Endpoint, now: float) -> None:
        """A request came in: its sender lives, or is a stranger to look at."""
        if self._originals or not request.version:
            self._note_version(request, endpoint)
        if not request.is_validated:
            self._asked_by_stranger(request, endpoint)
            return
        peer = self._table.heard(request.sender_id, endpoint, now)
        if peer is not None:
            peer.asked = now
            # That it is a client now its answer has to say: a request may be forged.
            if now - peer.answered > _PROVE_AFTER or request.read_only:
                self._enqueue(peer.contact, self._params.probe_tries)
            return
        self._look_at(request, endpoint)

    def _asked_by_stranger(self, request: Request, endpoint: Endpoint) -> None:
        """The same of one who may not be there: whoever it is, it is pinged once at most."""
        peer = self._table.get(request.sender_id)
        if peer is None or peer.contact.endpoint != endpoint:
            self._look_at(request, endpoint)
        elif not self._strangers.is_pinged(peer.contact):
            self._enqueue(peer.contact, tries=1)

    def _look_at(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender of a request where it might get a place in the table."""
        if request.read_only:
            return
        is_sought = self._table.seeks(request.sender_id, FOOTHOLD)
        if self._dead or is_sought:
            # Not of the pool, which strangers shall not fill.
            contact = Contact(*endpoint, request.sender_id)
            if self._strangers.is_pinged(contact):
                return
            if (is_sought and self._table.admits(contact)) or contact in self._dead:
                self._enqueue(contact, tries=1)  # its answer takes it from among the dead

    def answered(self, call: Call, payload: bytes, now: float) -> None:
        """A call of ours was answered: its contact lives, and may enter the table, unless it
        says that it is a client."""
        contact = call.contact
        assert contact is not None
        if call.name == "ping":  # to a stranger, perhaps, who is none any more
            if payload != replies.PONG and replies.is_client(payload):
                self._leave_out(contact)
                return
            contact = call.contact = self._context.pool.unpack(contact.packed)
        if self._dead and contact in self._dead:
            del self._dead[contact]
            if len(self.revived) < _MAX_REVIVED:
                self.revived.append(contact)
        in_the_way = self._table.answered(contact, now)
        self.patience.measured(call, contact, now)
        if in_the_way is not None and not self.is_fresh(in_the_way):
            self._enqueue(in_the_way, self._params.probe_tries)

    def _leave_out(self, client: Contact) -> None:
        """It lives, but not for tables."""
        self._dead.pop(client, None)
        self.changed(client)

    def _note_version(self, request: Request, endpoint: Endpoint) -> None:
        # Nobody shall say so in the name of another, nor fill the memory with names.
        peer = self._table.get(request.sender_id)
        if request.is_validated and (peer is None or peer.contact.endpoint == endpoint):
            if request.version:
                self._originals.pop(request.sender_id, None)
            else:
                self.note_original(request.sender_id)

    def changed(self, contact: Contact) -> None:
        """A contact said that it is not there any more, or not for tables: another id answered in
        its place, or it is a client."""
        successor = self._table.remove(contact)
        if successor is not None:  # it answered once, but that was a while ago
            self._enqueue(successor, self._params.probe_tries)

    def note_original(self, node_id: bytes) -> None:
        """A node showed that it speaks version 1.0."""
        if len(self._originals) < _MAX_ORIGINALS:
            self._originals[node_id] = None

    def said_farewell(self, contact: Contact, has_handed_over: bool) -> None:
        """A contact says that it leaves. Anybody can say so in its name: it is asked, and
        forgotten only if it is silent."""
        peer = self._table.get(contact.id)
        if peer is not None and peer.contact == contact:
            probe = self._enqueue(contact, _FAREWELL_TRIES)
            if probe is not None:
                probe.has_handed_over = has_handed_over

    def unanswered(self, contact: Contact) -> None:
        """A contact let a call of ours time out: make sure of it."""
        self._enqueue(contact, self._params.probe_tries)

    def question_silent(self, seconds: float) -> None:
        """Probe contacts that have long been silent, the longest silent first: as many as
        make the round of them in time, if called every so many seconds.

        Long is ``fresh_for``; where many have died lately, down to a fifth of it.
        """
        now, fresh_for = self._clock(), self._params.fresh_for
        deaths = sum(now - died < fresh_for for died in self._dead.values())
        long = fresh_for / (1 + 4 * min(1.0, 4 * deaths / max(len(self._table), 1)))
        count = math.ceil(min(1.0, 2 * seconds / long) * len(self._table))
        for contact in self._table.silent(now - long, count, _GRACE * long):
            self._enqueue(contact, self._params.probe_tries)

    def question_dead(self, count: int) -> None:
        """Probe some of those found dead: they may have been cut off only, and the rest of
        the network with them."""
        dead = list(self._dead)
        for contact in self._context.rng.sample(dead, min(count, len(dead))):
            self._enqueue(contact, tries=1)

    # What others want to know.

    def is_original(self, contact: Contact) -> bool:
        """Whether a contact is known to speak version 1.0."""
        return contact.id in self._originals

    def is_fresh(self, contact: Contact) -> bool:
        """Weak liveliness: in the table, and heard from within ``Params.fresh_for``."""
        peer = self._table.get(contact.id)
        if peer is None or peer.contact != contact:
            return False
        return self._clock() - peer.heard < self._params.fresh_for

    def is_known_by(self, contact: Contact) -> bool:
        """Whether our address is likely to be verified at a contact: we answered it lately."""
        peer = self._table.get(contact.id)
        if peer is None or peer.contact != contact:
            return False
        return self._clock() - peer.asked < _KNOWN_FOR

    def is_alive(self, contact: Contact) -> bool:
        """Strong liveliness: ping the contact, blocking this greenlet until it is clear.

        Raises NodeClosed, and TooManyCalls where as many probes wait as may.
        """
        if self._closed:
            raise NodeClosed("the node is closed")
        probe = self._enqueue(contact, self._params.probe_tries, is_bounded=False)
        assert probe is not None
        if probe.result is None:
            probe.result = AsyncResult()
        return bool(probe.result.get())

    @property
    def knows_dead(self) -> bool:
        """Whether ``is_dead`` is true of anybody at all."""
        return bool(self._dead)

    def is_dead(self, contact: Contact) -> bool:
        """Whether a contact was found dead lately, so that others who still tell of it do
        not cost a lookup its time again."""
        died = self._dead.get(contact)
        if died is None:
            return False
        return self._clock() - died < self._params.dead_for

    @property
    def is_sure(self) -> bool:
        """Whether round trips are short, no answer was late lately, and nobody died."""
        return not self._dead and self.patience.is_calm

    # Probing.

    def probe(self, contact: Contact) -> None:
        """Ping a contact when there is time for it; if it answers, it may enter the table."""
        self._enqueue(contact, tries=1)

    def _enqueue(self, contact: Contact, tries: int, *, is_bounded: bool = True) -> _Probe | None:
        probe = self._probes.get(contact)
        if probe is not None:
            probe.tries = max(probe.tries, tries)
            return probe
        if self._closed:
            return None
        is_full = is_bounded and len(self._probes) >= self._params.max_probes
        if is_full and contact not in self._table:  # strangers shall not keep out who is known
            return None
        probe = _Probe(contact, tries)
        self._probes[contact] = probe
        if not self._queue and self._may_send():
            self._ping(probe)  # a greenlet for it would cost as much as the ping
            return probe
        self._queue[contact] = probe
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return probe

    def _run(self) -> None:
        """Send the probes that wait, as fast as they may go, and end."""
        try:
            while self._queue:
                if not self._may_send():
                    gevent.sleep(_REST)
                    continue
                contact = next(iter(self._queue))
                self._ping(self._queue.pop(contact))
        finally:
            self._greenlet = None

    def _may_send(self) -> bool:
        """Take one probe off the allowance, which fills by ``probe_rate`` in a second."""
        now, rate = self._clock(), self._params.probe_rate
        self._allowance = min(rate, self._allowance + (now - self._counted_at) * rate)
        self._counted_at = now
        # The slack is for rates under one, and for rounding.
        if self._allowance < min(1.0, rate) - 1e-6:
            return False
        self._allowance -= 1
        return True

    def _ping(self, probe: _Probe) -> None:
        contact = probe.contact
        least = self._params.min_probe_patience
        timeout = self.patience.with_contact(contact, least) * 2**probe.step
        timeout *= 1 + _JITTER * self._context.rng.random()

        def done(_: Call, result: list[Any] | KademluaError) -> None:
            if isinstance(result, TimeoutError):
                self._silent(probe)
            elif isinstance(result, NodeClosed):
                self._give_up(probe, result)
            else:  # even an error is an answer
                self._end(probe, True)

        try:
            self._caller.send(contact.endpoint, contact, self._caller.ping, done, timeout=timeout)
            self._context.stats.caused[Purpose.PROBE] += 1
        except KademluaError as error:
            self._give_up(probe, error)

    def _silent(self, probe: _Probe) -> None:
        probe.step += 1
        if probe.step < probe.tries:
            self._ping(probe)
            return
        successor = None
        if probe.tries > 1:
            take_out = self._table.forget if probe.has_handed_over else self._table.remove
            successor = take_out(probe.contact)
            self._note_dead(probe.contact)
        self._end(probe, False)
        if successor is not None:  # it answered once, but that was a while ago
            self._enqueue(successor, self._params.probe_tries)

    def _note_dead(self, contact: Contact) -> None:
        self._dead.pop(contact, None)
        if len(self._dead) >= _MAX_DEAD:
            del self._dead[next(iter(self._dead))]
        self._dead[contact] = self._clock()

    def _end(self, probe: _Probe, is_alive: bool) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set(is_alive)

    def _give_up(self, probe: _Probe, error: KademluaError) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set_exception(error)
