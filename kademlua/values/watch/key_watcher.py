"""KeyWatcher: watches one key at some of its holders, for all subscriptions of a node."""

from __future__ import annotations

from functools import partial
from typing import Final

import gevent
from gevent.event import Event

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.watch.changes import Change
from kademlua.core.watch.known_values import KnownValues
from kademlua.core.watch.leases import MAX_LEASE_SECONDS
from kademlua.core.watch.snapshot import HeldValue
from kademlua.core.wire import watch_messages
from kademlua.core.wire.watch_messages import SECRET_BYTES, KeyState
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.values.watch.lease_holder import LeaseHolder
from kademlua.values.watch.subscription import Subscription

HOLDER_COUNT: Final = 3
"""The closest holders at which a key is watched."""
RENEWAL_INTERVAL: Final = 0.4 * MAX_LEASE_SECONDS
"""Seconds between renewals of the leases, so that one may be lost."""
LOOKUP_INTERVAL: Final = 1_800.0
"""Seconds after which the closest holders are looked up again, also if all are there. A holder that
is no replica any more does not renew a lease."""
_RETRY_INTERVAL: Final = 5.0
"""Seconds until the next attempt if no holder has granted a lease."""
_LOCAL: Final = "this node"


class WatchParts:
    """The parts of a node with which keys are watched."""

    __slots__ = ("client", "context", "lease_holder", "liveliness", "lookups")

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        lease_holder: LeaseHolder,
    ) -> None:
        self.context = context
        self.client = client
        self.liveliness = liveliness
        self.lookups = lookups
        self.lease_holder = lease_holder


class KeyWatcher:
    """Watches a key until it has no subscriptions."""

    def __init__(self, parts: WatchParts, key: bytes) -> None:
        self.key = key
        self.subscriptions: list[Subscription] = []
        self._parts = parts
        # A new filter each time, since one remembers all records that it has seen.
        new_filter = partial(parts.lookups.record_filter, key)
        self._known = KnownValues(lambda values: new_filter().filter(values))
        self._digests: dict[Contact, bytes] = {}
        """The holders that granted a lease, and what they had last."""
        self._secrets: dict[Contact, bytes] = {}
        """What notifications of a holder must repeat."""
        self._is_outdated: dict[Contact, bool] = {}
        """The holders that are read again, and whether they changed meanwhile."""
        self._is_local = False
        """Whether this node is one of the holders."""
        self._looked_up_at = -LOOKUP_INTERVAL
        self._wanted_count = HOLDER_COUNT
        """The number of holders that the last lookup found."""
        self._is_disturbed = Event()
        """Set if a holder is gone, or the watcher ends."""

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
        self._is_disturbed.set()

    def shown(self) -> list[Change]:
        """Return the present values, as added ones."""
        return self._known.shown()

    def run(self) -> None:
        """Renew the leases until there are no subscriptions; then end them."""
        try:
            while self.subscriptions:
                self._is_disturbed.clear()
                try:
                    self._renew()
                except NodeClosed:
                    return
                except KademluaError as error:
                    self._parts.context.log.info("a watch could not be renewed: %s", error)
                is_watching = self._digests or self._is_local
                self._is_disturbed.wait(RENEWAL_INTERVAL if is_watching else _RETRY_INTERVAL)
        finally:
            self._end()

    def expects(self, holder: Contact, secret: object) -> bool:
        """Return whether a notification is one for which a holder was asked."""
        is_holder = holder in self._digests and bool(self.subscriptions)
        return is_holder and secret == self._secrets[holder]

    def on_changed(self, holder: Contact, state: KeyState) -> None:
        """Process an expected notification."""
        if state.values is not None:
            self._report(holder, state)
            return
        self._digests[holder] = b""  # the values did not fit
        is_reading = holder in self._is_outdated
        self._is_outdated[holder] = True
        if not is_reading:  # one call at a time, however often the holder asks for it
            gevent.spawn(self._fetch_until_current, holder)

    # Holders

    def _renew(self) -> None:
        """Renew all leases; look the holders up if one is missing or it is time."""
        now = self._parts.context.clock()
        holders = list(self._digests)
        gevent.joinall([gevent.spawn(self._fetch, each) for each in holders])
        is_complete = len(self._digests) >= self._wanted_count
        if is_complete and now - self._looked_up_at < LOOKUP_INTERVAL:
            return
        self._looked_up_at = now
        closest, tokens = self._look_up()
        if not self.subscriptions:
            return
        self._wanted_count = len(closest)
        for each in [holder for holder in self._digests if holder not in closest]:
            self._drop(each)
            self._send_end(each)
        new = [each for each in closest if each not in self._digests]
        gevent.joinall([gevent.spawn(self._fetch, each, tokens.get(each, b"")) for each in new])
        self._publish()

    def _look_up(self) -> tuple[list[Contact], dict[Contact, bytes]]:
        """Return the closest contacts that speak 1.1, with their write tokens."""
        parts = self._parts
        context, params = parts.context, parts.context.params
        options = SearchOptions(purpose=Purpose.WATCH)
        network_lookup = parts.lookups.run_node_lookup(self.key, options)
        closest = network_lookup.lookup.closest()
        is_holder = not context.is_client and is_replica(
            to_int(context.id), to_int(self.key), closest, params.replicas
        )
        if is_holder and not self._is_local:
            self._is_local = True
            values = parts.lease_holder.watch_locally(self.key, self._on_local_change)
            self._known.report(_LOCAL, values)
        elif not is_holder and self._is_local:
            self._end_local()
        is_v10 = parts.liveliness.versions.is_v10
        able = [each for each in closest if not is_v10(each)]
        return able[:HOLDER_COUNT], network_lookup.write_tokens

    def _fetch(self, holder: Contact, token: bytes = b"") -> None:
        """Take or renew the lease at a holder, and read what it has."""
        parts = self._parts
        digest = self._digests.get(holder, b"")
        secret = self._secrets.setdefault(holder, parts.context.rng.randbytes(SECRET_BYTES))
        args = watch_messages.encode_watch_args(self.key, MAX_LEASE_SECONDS, token, digest, secret)
        try:
            _, results = parts.client.call(holder.endpoint, holder, "watch", args)
            now = parts.context.clock()
            state = watch_messages.decode_watch_reply(results, parts.context.pool, now)
        except NodeClosed:
            return
        except KademluaError:
            self._drop(holder)
            return
        if not state.lease_seconds:
            self._drop(holder)
        elif state.values is not None or state.digest == digest:
            self._report(holder, state)
        else:  # more values than a datagram has: watch at other holders only
            self._drop(holder)

    def _fetch_until_current(self, holder: Contact) -> None:
        while self._is_outdated[holder] and holder in self._digests:
            self._is_outdated[holder] = False
            self._fetch(holder)
        del self._is_outdated[holder]

    def _report(self, holder: Contact, state: KeyState) -> None:
        self._digests[holder] = state.digest
        if state.values is not None:
            limit = self._parts.context.params.max_value_bytes  # as in a find
            values = [each for each in state.values if len(each.encoded) <= limit]
            self._known.report(holder, values)
            self._publish()

    def _on_local_change(self, values: list[HeldValue]) -> None:
        self._known.report(_LOCAL, values)
        self._publish()

    def _drop(self, holder: Contact) -> None:
        """Forget a holder without a lease, and look for others."""
        self._secrets.pop(holder, None)
        if self._digests.pop(holder, None) is not None:
            self._known.forget(holder)
            self._looked_up_at = -LOOKUP_INTERVAL
            self._is_disturbed.set()

    def _publish(self) -> None:
        changes = self._known.changes(self._parts.context.clock())
        if changes:
            for each in self.subscriptions:
                each.put(changes)

    # The end

    def _end(self) -> None:
        self._end_local()
        for holder in list(self._digests):
            self._send_end(holder)
        self._digests.clear()
        for each in list(self.subscriptions):
            each.close()

    def _end_local(self) -> None:
        if self._is_local:
            self._is_local = False
            self._known.forget(_LOCAL)
            self._parts.lease_holder.end_local(self.key)

    def _send_end(self, holder: Contact) -> None:
        """End a lease without waiting for the reply."""
        args = watch_messages.encode_watch_args(self.key, 0, b"", b"", bytes(SECRET_BYTES))
        client = self._parts.client
        try:
            client.send(holder.endpoint, holder, client.encode("watch", args), lambda *_: None)
        except KademluaError:
            pass  # the lease ends by itself
