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
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.security.validated_addresses import VALIDATION_LIFETIME
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.timeouts import RtoEstimator
from kademlua.runtime.context import Context

MIN_BUCKET_FILL = 4
"""Contacts that a far bucket should have soon; those beyond come with the lookups."""
_JITTER = 0.1
_REVALIDATE_AFTER = 0.95 * VALIDATION_LIFETIME
"""Who asks and has not answered for so many seconds is pinged: a request proves nothing."""
_VALIDATED_AT_PEER_FOR = 0.9 * VALIDATION_LIFETIME
"""Seconds for which a contact that we answered is taken to know this node's address."""
_STAGGER = 0.05
"""Part of the time after which a contact is pinged by which the one of two goes first."""
_MAX_DEAD = 256
_MAX_RECOVERED = 8
_MAX_V10_IDS = 4_096
_LEAVE_TRIES = 2
"""Pings to one who said farewell, until it counts as gone."""
_THROTTLE_SLEEP = 0.05
"""Seconds that the greenlet sleeps when it has used up what it may send."""


class _Probe:
    """A contact being pinged until it answers or counts as dead."""

    __slots__ = ("attempt", "contact", "has_handed_over", "result", "tries")

    def __init__(self, contact: Contact, tries: int) -> None:
        self.contact = contact
        self.tries = tries
        self.attempt = 0
        self.has_handed_over = False
        """It said so, in a farewell."""
        self.result: AsyncResult[bool] | None = None


class LivelinessManager:
    """Keeps one node's routing table true."""

    def __init__(self, context: Context, client: RpcClient, validator: AddressValidator) -> None:
        self._context = context
        self._validator = validator
        self._client = client
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self.rto_estimator = RtoEstimator(context)
        self._probes: dict[Contact, _Probe] = {}
        self._queue: dict[Contact, _Probe] = {}
        self._dead_since: dict[Contact, float] = {}
        """When contacts were found dead, those of late, the last one last."""
        self._v10_ids: dict[bytes, None] = {}
        """Ids of some that speak version 1.0."""
        self.recovered: list[Contact] = []
        """Some contacts that had been found dead and were heard from again; whoever asks
        after them clears it."""
        self._send_allowance = self._params.probe_rate
        self._allowance_at = self._clock()
        self._greenlet: Greenlet[..., None] | None = None
        self._closed = False

    def close(self) -> None:
        """End the greenlet; whoever waits for a probe gets NodeClosed. Idempotent."""
        self._closed = True
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._greenlet = None
        self._queue.clear()
        for probe in list(self._probes.values()):
            self._fail_probe(probe, NodeClosed("the node is closed"))

    # What the packet's way reports; nothing of this blocks.

    def on_request(self, request: Request, endpoint: Endpoint, now: float) -> None:
        """A request came in: its sender lives, or is a stranger to look at."""
        if self._v10_ids or not request.version:
            self._record_version(request, endpoint)
        if not request.is_validated:
            self._on_unvalidated_request(request, endpoint)
            return
        entry = self._table.touch(request.sender_id, endpoint, now)
        if entry is not None:
            entry.last_served = now
            # That it is a client now its answer has to say: a request may be forged.
            if now - entry.last_replied > _REVALIDATE_AFTER or request.read_only:
                self._enqueue(entry.contact, self._params.probe_tries)
            return
        self._consider_sender(request, endpoint)

    def _on_unvalidated_request(self, request: Request, endpoint: Endpoint) -> None:
        """The same of one who may not be there: whoever it is, it is pinged once at most."""
        entry = self._table.get(request.sender_id)
        if entry is None or entry.contact.endpoint != endpoint:
            self._consider_sender(request, endpoint)
        elif not self._validator.is_validating(entry.contact):
            self._enqueue(entry.contact, tries=1)

    def _consider_sender(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender of a request where it might get a place in the table."""
        if request.read_only:
            return
        is_wanted = self._table.is_wanted(request.sender_id, MIN_BUCKET_FILL)
        if self._dead_since or is_wanted:
            # Not of the pool, which strangers shall not fill.
            contact = Contact(*endpoint, request.sender_id)
            if self._validator.is_validating(contact):
                return
            if (is_wanted and self._table.can_admit(contact)) or contact in self._dead_since:
                self._enqueue(contact, tries=1)  # its answer takes it from among the dead

    def on_reply(self, call: PendingCall, payload: bytes, now: float) -> None:
        """A call of ours was answered: its contact lives, and may enter the table, unless it
        says that it is a client."""
        contact = call.contact
        assert contact is not None
        if call.name == "ping":  # to a stranger, perhaps, who is none any more
            if payload != replies.PONG and replies.is_client_pong(payload):
                self._exclude_client(contact)
                return
            contact = call.contact = self._context.pool.from_compact(contact.compact)
        if self._dead_since and contact in self._dead_since:
            del self._dead_since[contact]
            if len(self.recovered) < _MAX_RECOVERED:
                self.recovered.append(contact)
        eviction_candidate = self._table.on_reply(contact, now)
        self.rto_estimator.on_reply(call, contact, now)
        if eviction_candidate is not None and not self.is_fresh(eviction_candidate):
            self._enqueue(eviction_candidate, self._params.probe_tries)

    def _exclude_client(self, client: Contact) -> None:
        """It lives, but not for tables."""
        self._dead_since.pop(client, None)
        self.evict(client)

    def _record_version(self, request: Request, endpoint: Endpoint) -> None:
        # Nobody shall say so in the name of another, nor fill the memory with names.
        entry = self._table.get(request.sender_id)
        if request.is_validated and (entry is None or entry.contact.endpoint == endpoint):
            if request.version:
                self._v10_ids.pop(request.sender_id, None)
            else:
                self.mark_v10(request.sender_id)

    def evict(self, contact: Contact) -> None:
        """A contact said that it is not there any more, or not for tables: another id answered in
        its place, or it is a client."""
        promoted = self._table.remove(contact)
        if promoted is not None:  # it answered once, but that was a while ago
            self._enqueue(promoted, self._params.probe_tries)

    def mark_v10(self, node_id: bytes) -> None:
        """A node showed that it speaks version 1.0."""
        if len(self._v10_ids) < _MAX_V10_IDS:
            self._v10_ids[node_id] = None

    def on_leave(self, contact: Contact, has_handed_over: bool) -> None:
        """A contact says that it leaves. Anybody can say so in its name: it is asked, and
        forgotten only if it is silent."""
        entry = self._table.get(contact.id)
        if entry is not None and entry.contact == contact:
            probe = self._enqueue(contact, _LEAVE_TRIES)
            if probe is not None:
                probe.has_handed_over = has_handed_over

    def on_timeout(self, contact: Contact) -> None:
        """A contact let a call of ours time out: make sure of it."""
        self._enqueue(contact, self._params.probe_tries)

    def probe_stale(self, interval: float) -> None:
        """Probe contacts that have long been silent, the longest silent first: as many as
        make the round of them in time, if called every so many seconds.

        Long is ``freshness_window``; where many have died lately, down to a fifth of it.
        """
        now, freshness_window = self._clock(), self._params.freshness_window
        recent_deaths = sum(now - died < freshness_window for died in self._dead_since.values())
        stale_after = freshness_window / (
            1 + 4 * min(1.0, 4 * recent_deaths / max(len(self._table), 1))
        )
        count = math.ceil(min(1.0, 2 * interval / stale_after) * len(self._table))
        for contact in self._table.stale(now - stale_after, count, _STAGGER * stale_after):
            self._enqueue(contact, self._params.probe_tries)

    def reprobe_dead(self, count: int) -> None:
        """Probe some of those found dead: they may have been cut off only, and the rest of
        the network with them."""
        dead = list(self._dead_since)
        for contact in self._context.rng.sample(dead, min(count, len(dead))):
            self._enqueue(contact, tries=1)

    # What others want to know.

    def is_v10(self, contact: Contact) -> bool:
        """Whether a contact is known to speak version 1.0."""
        return contact.id in self._v10_ids

    def is_fresh(self, contact: Contact) -> bool:
        """Weak liveliness: in the table, and heard from within ``Params.freshness_window``."""
        entry = self._table.get(contact.id)
        if entry is None or entry.contact != contact:
            return False
        return self._clock() - entry.last_seen < self._params.freshness_window

    def is_validated_at(self, contact: Contact) -> bool:
        """Whether our address is likely to be verified at a contact: we answered it lately."""
        entry = self._table.get(contact.id)
        if entry is None or entry.contact != contact:
            return False
        return self._clock() - entry.last_served < _VALIDATED_AT_PEER_FOR

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
    def has_dead(self) -> bool:
        """Whether ``is_dead`` is true of anybody at all."""
        return bool(self._dead_since)

    def is_dead(self, contact: Contact) -> bool:
        """Whether a contact was found dead lately, so that others who still tell of it do
        not cost a lookup its time again."""
        died_at = self._dead_since.get(contact)
        if died_at is None:
            return False
        return self._clock() - died_at < self._params.dead_quarantine

    @property
    def is_network_stable(self) -> bool:
        """Whether round trips are short, no answer was late lately, and nobody died."""
        return not self._dead_since and self.rto_estimator.is_stable

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
        if not self._queue and self._acquire_send_slot():
            self._send_ping(probe)  # a greenlet for it would cost as much as the ping
            return probe
        self._queue[contact] = probe
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return probe

    def _run(self) -> None:
        """Send the probes that wait, as fast as they may go, and end."""
        try:
            while self._queue:
                if not self._acquire_send_slot():
                    gevent.sleep(_THROTTLE_SLEEP)
                    continue
                contact = next(iter(self._queue))
                self._send_ping(self._queue.pop(contact))
        finally:
            self._greenlet = None

    def _acquire_send_slot(self) -> bool:
        """Take one probe off the allowance, which fills by ``probe_rate`` in a second."""
        now, rate = self._clock(), self._params.probe_rate
        self._send_allowance = min(rate, self._send_allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        # The slack is for rates under one, and for rounding.
        if self._send_allowance < min(1.0, rate) - 1e-6:
            return False
        self._send_allowance -= 1
        return True

    def _send_ping(self, probe: _Probe) -> None:
        contact = probe.contact
        min_rto = self._params.min_probe_rto
        timeout = self.rto_estimator.rto_for(contact, min_rto) * 2**probe.attempt
        timeout *= 1 + _JITTER * self._context.rng.random()

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            if isinstance(result, TimeoutError):
                self._on_ping_timeout(probe)
            elif isinstance(result, NodeClosed):
                self._fail_probe(probe, result)
            else:  # even an error is an answer
                self._finish_probe(probe, True)

        try:
            self._client.send(
                contact.endpoint, contact, self._client.ping_request, on_done, timeout=timeout
            )
            self._context.stats.calls_by_purpose[Purpose.PROBE] += 1
        except KademluaError as error:
            self._fail_probe(probe, error)

    def _on_ping_timeout(self, probe: _Probe) -> None:
        probe.attempt += 1
        if probe.attempt < probe.tries:
            self._send_ping(probe)
            return
        promoted = None
        if probe.tries > 1:
            remove_entry = (
                self._table.remove_departed if probe.has_handed_over else self._table.remove
            )
            promoted = remove_entry(probe.contact)
            self._mark_dead(probe.contact)
        self._finish_probe(probe, False)
        if promoted is not None:  # it answered once, but that was a while ago
            self._enqueue(promoted, self._params.probe_tries)

    def _mark_dead(self, contact: Contact) -> None:
        self._dead_since.pop(contact, None)
        if len(self._dead_since) >= _MAX_DEAD:
            del self._dead_since[next(iter(self._dead_since))]
        self._dead_since[contact] = self._clock()

    def _finish_probe(self, probe: _Probe, is_alive: bool) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set(is_alive)

    def _fail_probe(self, probe: _Probe, error: KademluaError) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set_exception(error)
