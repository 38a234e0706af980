"""Probing: the pings that decide whether a contact is alive or dead.

Probes are paced to ``Params.probe_rate`` per second and limited to ``Params.max_probes``.
All callers that ask for the same contact share one probe. The greenlet that sends queued
probes ends when the queue is empty, so that an idle node holds no stack for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import Greenlet
from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import CallInterrupted, KademluaError, NodeClosed, RpcTimeout
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.rpc.timeouts import RtoEstimator
from kademlua.runtime.context import Context

_JITTER: Final = 0.1
"""Random part by which the timeout of a ping is extended."""
_LAST_PING_TIMEOUT: Final = 1.0
"""Seconds that a contact has, at least, to answer the last ping before it leaves the table: a slow
contact is not dead."""
_THROTTLE_SLEEP: Final = 0.05
"""Seconds that the greenlet sleeps when the rate limit is reached."""
_WAKING_TIME: Final = 60.0
"""Seconds after a pause in which a machine's network may not be up yet, such as its Wi-Fi."""


class Probe:
    """A contact that is pinged until it replies or counts as dead."""

    __slots__ = (
        "attempt",
        "contact",
        "has_handed_over",
        "is_authorized",
        "result",
        "tries",
        "was_waking",
    )

    def __init__(self, contact: Contact, tries: int, *, is_authorized: bool) -> None:
        self.contact = contact
        self.tries = tries
        self.is_authorized = is_authorized
        self.attempt = 0
        self.was_waking = False
        """True if the network of this machine may not have been up for the last ping."""
        self.has_handed_over = False
        """True if the contact announced that it leaves and has handed over its values."""
        self.result: AsyncResult[bool] | None = None


class ProbeQueue:
    """The probes of one node: queued, in flight and paced.

    A contact that misses all pings of a probe with more than one try leaves the routing
    table, and ``on_dead`` is called with it. A contact with a single try is only not admitted.
    """

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        rto_estimator: RtoEstimator,
        on_dead: Callable[[Contact], None],
        alias_for: Callable[[Contact], bytes],
    ) -> None:
        """Prepare; ``alias_for`` returns the sender's id to use, or empty for the own one."""
        self._alias_for = alias_for
        self._context = context
        self._client = client
        self._rto_estimator = rto_estimator
        self._on_dead = on_dead
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self._probes: dict[Contact, Probe] = {}
        self._queue: dict[Contact, Probe] = {}
        self._send_allowance = self._params.probe_rate
        self._allowance_at = self._clock()
        self._greenlet: Greenlet[..., None] | None = None
        self._waking_until = -math.inf
        self._replies_at_pause = 0
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._probes)

    def close(self) -> None:
        """Stop probing. Waiting callers get NodeClosed. Idempotent."""
        self._is_closed = True
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._greenlet = None
        self._queue.clear()
        for probe in list(self._probes.values()):
            self._fail(probe, NodeClosed("the node is closed"))

    def add(
        self,
        contact: Contact,
        tries: int,
        *,
        is_bounded: bool = True,
        is_authorized: bool = False,
    ) -> Probe | None:
        """Probe a contact with up to ``tries`` pings; return the probe, shared or new.

        Return None if the queue is closed, or full and the contact is not in the table.
        ``is_bounded=False`` ignores ``Params.max_probes``; ``is_authorized`` is that of
        ``CallOptions``.
        """
        probe = self._probes.get(contact)
        if probe is not None:
            probe.tries = max(probe.tries, tries)
            probe.is_authorized |= is_authorized
            return probe
        if self._is_closed:
            return None
        is_full = is_bounded and len(self._probes) >= self._params.max_probes
        if is_full and contact not in self._table:  # unknown senders must not displace contacts
            return None
        probe = Probe(contact, tries, is_authorized=is_authorized)
        self._probes[contact] = probe
        if not self._queue and self._acquire_send_slot():
            self._send_ping(probe)  # saves a greenlet
            return probe
        self._queue[contact] = probe
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        return probe

    def wait(self, contact: Contact) -> bool:
        """Block this greenlet until a contact replied or counts as dead; return True if alive.

        Raises:
            NodeClosed: The node is closed, or was closed meanwhile.
            TooManyCalls: Too many calls are in flight.
        """
        if self._is_closed:
            raise NodeClosed("the node is closed")
        probe = self.add(contact, self._params.probe_tries, is_bounded=False, is_authorized=True)
        assert probe is not None
        if probe.result is None:
            probe.result = AsyncResult()
        return bool(probe.result.get())

    def on_pause(self) -> None:
        """Evict no contact for a minute after a pause, unless another one replies."""
        self._waking_until = self._clock() + _WAKING_TIME
        self._replies_at_pause = self._context.stats.replies

    def _run(self) -> None:
        """Send the queued probes at the permitted rate."""
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
        """Consume one ping from the token bucket of ``probe_rate`` per second, if it has one."""
        now, rate = self._clock(), self._params.probe_rate
        self._send_allowance = min(rate, self._send_allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        # min() admits rates below one; 1e-6 absorbs rounding.
        if self._send_allowance < min(1.0, rate) - 1e-6:
            return False
        self._send_allowance -= 1
        return True

    def _send_ping(self, probe: Probe) -> None:
        contact = probe.contact
        probe.was_waking = self._is_waking
        min_rto = self._params.min_probe_rto
        timeout = self._rto_estimator.rto_for(contact, min_rto) * 2**probe.attempt
        if probe.tries > 1 and probe.attempt >= probe.tries - 1:
            timeout = max(timeout, _LAST_PING_TIMEOUT)
        timeout *= 1 + _JITTER * self._context.rng.random()

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            if isinstance(result, CallInterrupted):  # all pings count from now on
                probe.attempt = 0
                self._send_ping(probe)
            elif isinstance(result, RpcTimeout):
                self._on_ping_timeout(probe)
            elif isinstance(result, NodeClosed):
                self._fail(probe, result)
            else:  # an error reply also proves that the contact is alive
                self._finish(probe, is_alive=True)

        try:
            self._client.send(
                contact.endpoint,
                contact,
                self._client.ping_request,
                on_done,
                CallOptions(
                    timeout, alias=self._alias_for(contact), is_authorized=probe.is_authorized
                ),
            )
            self._context.stats.calls_by_purpose[Purpose.PROBE] += 1
        except KademluaError as error:
            self._fail(probe, error)

    def _on_ping_timeout(self, probe: Probe) -> None:
        if probe.was_waking and not self._is_waking:  # all pings count from now on
            probe.attempt = 0
        else:
            probe.attempt += 1
        if probe.attempt < probe.tries or self._is_waking:
            self._send_ping(probe)
            return
        promoted = None
        if probe.tries > 1:
            remove_entry = (
                self._table.remove_departed if probe.has_handed_over else self._table.remove
            )
            promoted = remove_entry(probe.contact)
            self._on_dead(probe.contact)
        self._finish(probe, is_alive=False)
        if promoted is not None:  # its last reply may be old
            self.add(promoted, self._params.probe_tries)

    @property
    def _is_waking(self) -> bool:
        """Whether silence may be due to this machine's network, which has just been paused."""
        is_silent = self._context.stats.replies == self._replies_at_pause
        return is_silent and self._clock() < self._waking_until

    def _finish(self, probe: Probe, *, is_alive: bool) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set(is_alive)

    def _fail(self, probe: Probe, error: KademluaError) -> None:
        self._probes.pop(probe.contact, None)
        if probe.result is not None:
            probe.result.set_exception(error)
