"""Watcher: all watched keys of a node, and the notifications that arrive."""

from __future__ import annotations

from typing import Final

import gevent
from gevent import Greenlet

from kademlua.core.contact import Endpoint
from kademlua.core.errors import BadArguments, NodeClosed, WireError
from kademlua.core.ids import is_id
from kademlua.core.wire import watch_messages
from kademlua.core.wire.packets import Request
from kademlua.values.watch.holder_calls import WatchParts
from kademlua.values.watch.key_watcher import KeyWatcher
from kademlua.values.watch.subscription import Subscription

_RENEWAL_SPACING: Final = 0.01
"""Seconds between the renewals of two keys after a pause."""


class Watcher:
    """Shares one ``KeyWatcher`` among the subscriptions of a key."""

    def __init__(self, parts: WatchParts) -> None:
        self._parts = parts
        self._by_key: dict[bytes, KeyWatcher] = {}
        self._renewing: Greenlet[..., None] | None = None

    def subscribe(self, subscription: Subscription) -> None:
        """Watch a key until the subscription is ended; the present values come first. Idempotent,
        and without effect on one that was ended."""
        if subscription.is_begun or subscription.is_closed:
            return
        key = subscription.key
        key_watcher = self._by_key.get(key)
        if key_watcher is None:
            key_watcher = self._by_key[key] = KeyWatcher(self._parts, key)
            gevent.spawn(self._run, key_watcher)
        key_watcher.subscribe(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. Idempotent."""
        subscription.close()
        key_watcher = self._by_key.get(subscription.key)
        if key_watcher is not None:
            # Without subscriptions it ends. Until then it may get others: two that watch one key
            # would end each other's leases.
            key_watcher.unsubscribe(subscription)

    def wait(self, subscription: Subscription, timeout: float | None = None) -> bool:
        """Block until a subscription has a change; return False after ``timeout`` seconds, or if
        it or the node is closed."""
        while not subscription.has_changes:
            if subscription.is_closed:
                return False
            key_watcher = self._by_key.get(subscription.key)
            if subscription.needs_refill and key_watcher is not None:
                subscription.refill(key_watcher.shown())
            elif not subscription.wait(timeout):
                return subscription.has_changes
        return True

    def handle_changed(self, request: Request, endpoint: Endpoint) -> bytes:
        """Process a notification of a holder."""
        args = request.args
        key = args[0] if args else None
        if type(key) is not bytes or not is_id(key) or len(args) < 3:
            raise BadArguments("a notification needs key, secret and state")
        key_watcher = self._by_key.get(key)
        context = self._parts.context
        holder = context.sender_of(request, endpoint)
        if key_watcher is None or not key_watcher.expects(holder, args[1]):
            return watch_messages.NOT_WATCHED
        try:
            state = watch_messages.decode_state(args[2], context.pool, request.received_at)
        except WireError as error:
            raise BadArguments(str(error)) from None
        key_watcher.on_changed(holder, state)
        return watch_messages.WATCHED

    def on_pause(self) -> None:
        """Renew all leases after a pause of the node, since timers do not count the time asleep.
        May run in the hub."""
        self._stop_renewing()
        self._renewing = gevent.spawn(self._renew_all)

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.kill(block=False)

    def _renew_all(self) -> None:
        for key_watcher in list(self._by_key.values()):
            key_watcher.renew_now()
            gevent.sleep(_RENEWAL_SPACING)

    def close(self) -> None:
        """End all watches. Idempotent."""
        self._stop_renewing()
        for key_watcher in list(self._by_key.values()):
            for each in list(key_watcher.subscriptions):
                key_watcher.unsubscribe(each)

    def _run(self, key_watcher: KeyWatcher) -> None:
        try:
            key_watcher.run()
        except NodeClosed:
            pass
        except Exception:  # a defect: end the consumers instead of leaving them waiting
            self._parts.context.log.exception("a watch failed")
        finally:
            del self._by_key[key_watcher.key]
