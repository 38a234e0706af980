"""KeyWatcher: watches one key at some of its holders, for all subscriptions of a node."""

from __future__ import annotations

from functools import partial
from typing import Final

import gevent
from gevent.event import Event

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.ids import to_int
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.watch.changes import Change
from kademlua.core.watch.known_values import KnownValues
from kademlua.core.watch.leases import MAX_LEASE_SECONDS
from kademlua.core.watch.snapshot import HeldValue
from kademlua.core.wire.watch_messages import SECRET_BYTES, KeyState
from kademlua.values.watch.holder_calls import HolderCalls, WatchParts
from kademlua.values.watch.subscription import Subscription

HOLDER_COUNT: Final = 3
"""The closest holders at which a key is watched."""
RENEWAL_INTERVAL: Final = 0.4 * MAX_LEASE_SECONDS
"""Seconds between renewals of the leases, so that one may be lost."""
LOOKUP_INTERVAL: Final = 1_800.0
"""Seconds after which the closest holders are looked up again, also if all are there. A holder that
is no replica any more does not renew a lease."""
POLL_INTERVAL: Final = 30.0
"""Seconds between reads of the holders if none grants a lease, as those of version 1.0."""
_LEASE_RETRY_INTERVAL: Final = 300.0
"""Seconds until leases are tried again while the holders are polled."""
_RETRY_INTERVAL: Final = 5.0
"""Seconds until the next lookup if no holder has replied, or one is gone. A holder that grants
leases and ends them soon causes no more."""
_TIMER_SLACK: Final = 0.1
"""Seconds by which a lookup may be early, so that a timer that fires early causes no second one."""
_LOCAL: Final = "this node"


class KeyWatcher:
    """Watches a key until it has no subscriptions."""

    def __init__(self, parts: WatchParts, key: bytes) -> None:
        self.key = key
        self.subscriptions: list[Subscription] = []
        self._parts = parts
        self._calls = HolderCalls(parts, key)
        # A new filter each time, since one remembers all records that it has seen.
        new_filter = partial(parts.lookups.record_filter, key)
        self._known = KnownValues(lambda values: new_filter().filter(values))
        self._digests: dict[Contact, bytes] = {}
        """The holders that granted a lease or are polled, and what they had last."""
        self._polled: set[Contact] = set()
        """Those that are polled. If there are any, there are no leases."""
        self._secrets: dict[Contact, bytes] = {}
        """What notifications of a holder must repeat."""
        self._is_outdated: dict[Contact, bool] = {}
        """The holders that are read now, and whether they changed meanwhile."""
        self._is_local = False
        """Whether this node is one of the holders."""
        self._looked_up_at = self._lookup_due_at = -LOOKUP_INTERVAL
        self._is_disturbed = Event()
        """Set if the holders are to be asked before their time, or the watcher ends."""

    def subscribe(self, subscription: Subscription) -> None:
        """Add a consumer, which gets all present values first."""
        subscription.is_begun = True
        subscription.put(self._known.shown())
        self.subscriptions.append(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a consumer; without any, ``run`` ends."""
        subscription.close()
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
        if not self.subscriptions:
            self._is_disturbed.set()

    def renew_now(self) -> None:
        """Renew the leases before their time: they may have ended while the node was paused."""
        self._is_disturbed.set()

    def shown(self) -> list[Change]:
        """Return the present values, as added ones."""
        return self._known.shown()

    def run(self) -> None:
        """Renew the leases until there are no subscriptions; then end them."""
        try:
            while self._has_consumers():
                self._is_disturbed.clear()
                try:
                    self._renew()
                except NodeClosed:
                    return
                except KademluaError as error:
                    self._parts.context.log.info("a watch could not be renewed: %s", error)
                self._is_disturbed.wait(self._pause())
        finally:
            self._end()

    def _has_consumers(self) -> bool:
        """Remove the consumers that have ended by themselves; return whether there are others."""
        self.subscriptions = [each for each in self.subscriptions if not each.is_closed]
        return bool(self.subscriptions)

    def expects(self, holder: Contact, secret: object) -> bool:
        """Return whether a notification is one for which a holder was asked, perhaps just now."""
        return bool(self.subscriptions) and secret == self._secrets.get(holder)

    def on_changed(self, holder: Contact, state: KeyState) -> None:
        """Process an expected notification."""
        is_read = holder in self._is_outdated
        if is_read:  # the reply may be older, or newer: read again after it
            self._is_outdated[holder] = True
        if state.values is None:  # they did not fit
            if not is_read:  # one call at a time, however often the holder asks for it
                self._is_outdated[holder] = False
                gevent.spawn(self._read, holder)
        else:
            self._report(holder, state)
            self._publish()

    # Holders

    def _pause(self) -> float:
        """Return the seconds until the holders are asked again."""
        until_lookup = self._lookup_due_at - self._parts.context.clock()
        return max(0.0, min(POLL_INTERVAL if self._polled else RENEWAL_INTERVAL, until_lookup))

    def _renew(self) -> None:
        """Renew all leases; look the holders up if it is time, or stores no longer reach this
        node."""
        now = self._parts.context.clock()
        is_due = now >= self._lookup_due_at - _TIMER_SLACK
        if not (is_due and self._polled):  # those are read after the lookup
            self._fetch_all(list(self._digests))
        is_remote = self._is_local and not self._parts.lease_holder.is_responsible(self.key)
        if is_due or is_remote:
            self._looked_up_at, self._lookup_due_at = now, now + _RETRY_INTERVAL
            self._lookup_due_at = now + self._choose_holders()
        self._publish()

    def _choose_holders(self) -> float:
        """Take leases at the closest holders; if none grants any, have them polled. Return the
        seconds until the next lookup."""
        network_lookup = self._calls.look_up()
        closest, tokens = network_lookup.lookup.closest(), network_lookup.write_tokens
        self._update_local(closest)
        if not self.subscriptions:
            return LOOKUP_INTERVAL
        is_v10 = self._parts.liveliness.versions.is_v10
        able = [each for each in closest if not is_v10(each)][:HOLDER_COUNT]
        for each in list(self._digests):
            if each in self._polled:
                self._forget(each)
            elif each not in able:
                self._forget(each)
                self._calls.end_lease(each)
        self._fetch_all([each for each in able if each not in self._digests], tokens)
        if not (self._digests or self._is_local) and self.subscriptions:
            self._polled = set(closest[:HOLDER_COUNT])
            self._fetch_all(closest[:HOLDER_COUNT])
        if not closest or not (self._digests or self._is_local):
            return _RETRY_INTERVAL
        if len(closest) < HOLDER_COUNT:  # of a network that has just begun, or is being joined
            return POLL_INTERVAL
        if self._polled:
            return _LEASE_RETRY_INTERVAL
        return LOOKUP_INTERVAL if len(self._digests) >= len(able) else RENEWAL_INTERVAL

    def _update_local(self, closest: list[Contact]) -> None:
        """Watch in the own store if this node is a holder itself."""
        context = self._parts.context
        is_holder = not context.is_client and is_replica(
            to_int(context.id), to_int(self.key), closest, context.params.replicas
        )
        if is_holder and not self._is_local:
            self._is_local = True
            values = self._parts.lease_holder.watch_locally(self.key, self._on_local_change)
            self._known.report(_LOCAL, values)
        elif not is_holder and self._is_local:
            self._end_local()

    def _fetch_all(
        self, holders: list[Contact], tokens: dict[Contact, bytes] | None = None
    ) -> None:
        """Read what holders have, and take or renew the leases there."""
        greenlets = []
        for each in holders:
            if each in self._is_outdated:  # it is read now: read it again
                self._is_outdated[each] = True
            else:
                self._is_outdated[each] = False
                token = (tokens or {}).get(each, b"")
                greenlets.append(gevent.spawn(self._read, each, token))
        gevent.joinall(greenlets)

    def _read(self, holder: Contact, token: bytes = b"") -> None:
        """Read what a holder has, and take or renew the lease there; again if it changed."""
        try:
            is_current = self._fetch(holder, token)
        except NodeClosed:
            is_current = True
        except KademluaError:
            is_current = False
        is_outdated = self._is_outdated.pop(holder)
        if not is_current:
            self._drop(holder)
        elif is_outdated and holder in self._digests and self.subscriptions:
            self._is_outdated[holder] = False
            gevent.spawn(self._read, holder)

    def _fetch(self, holder: Contact, token: bytes) -> bool:
        """Ask a holder for what it has; return False if it does not serve as one.

        Raises:
            KademluaError: The call failed, or the reply is malformed.
        """
        if holder in self._polled:
            state = self._calls.read(holder)
            if state.digest != self._digests.get(holder):
                self._report(holder, state)  # the others are read before changes are published
            return True
        known = self._digests.get(holder, b"")
        rng = self._parts.context.rng
        secret = self._secrets.setdefault(holder, rng.randbytes(SECRET_BYTES))
        state = self._calls.take_lease(holder, token, known, secret)
        if not state.lease_seconds:
            return False
        if state.values is None and state.digest != known:
            return False  # more values than a datagram has: watch at other holders only
        if self._is_outdated[holder]:  # it is read again
            self._digests.setdefault(holder, b"")
        else:
            self._report(holder, state)
            self._publish()
        return True

    def _report(self, holder: Contact, state: KeyState) -> None:
        self._digests[holder] = state.digest
        if state.values is not None:
            limit = self._parts.context.params.max_value_bytes  # as in a find
            values = [each for each in state.values if len(each.encoded) <= limit]
            self._known.report(holder, values)

    def _on_local_change(self, values: list[HeldValue]) -> None:
        self._known.report(_LOCAL, values)
        self._publish()

    def _drop(self, holder: Contact) -> None:
        """Forget a holder that does not serve as one, and look for others soon."""
        if self._forget(holder):
            self._lookup_due_at = min(self._lookup_due_at, self._looked_up_at + _RETRY_INTERVAL)
            self._is_disturbed.set()

    def _forget(self, holder: Contact) -> bool:
        """Forget a holder, and return whether it served as one."""
        self._secrets.pop(holder, None)
        self._polled.discard(holder)
        if self._digests.pop(holder, None) is None:
            return False
        self._known.forget(holder)
        return True

    def _publish(self) -> None:
        changes = self._known.changes(self._parts.context.clock())
        if changes:
            for each in self.subscriptions:
                each.put(changes)

    # The end

    def _end(self) -> None:
        self._end_local()
        for holder in self._digests:
            if holder not in self._polled:
                self._calls.end_lease(holder)
        self._digests.clear()
        for each in list(self.subscriptions):
            each.close()

    def _end_local(self) -> None:
        if self._is_local:
            self._is_local = False
            self._known.forget(_LOCAL)
            self._parts.lease_holder.end_local(self.key)
