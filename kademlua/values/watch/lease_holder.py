"""LeaseHolder: grants leases on keys, and tells watchers what changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Final

from gevent import get_hub

from kademlua.core.contact import Endpoint
from kademlua.core.errors import BadArguments, KademluaError
from kademlua.core.ids import is_id, to_int
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.watch.leases import Lease, LeaseTable
from kademlua.core.watch.snapshot import DIGEST_BYTES, HeldValue, digest
from kademlua.core.wire import watch_messages
from kademlua.core.wire.packets import Request
from kademlua.core.wire.watch_messages import (
    MAX_STATE_BYTES,
    MAX_VALUES,
    SECRET_BYTES,
    KeyState,
    take_reportable,
)
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.timer import Timer

_MAX_NOTIFIED_BYTES: Final = 1_000
"""Values in a notification. A watcher asks for more with its next watch."""
_EXPIRY_CHECK_INTERVAL: Final = 2.0
"""Seconds between looks for values and leases that have ended, while there are leases."""

LocalWatcher = Callable[[list[HeldValue]], None]


class LeaseHolder:
    """The leases of one node, which it keeps for others, and the watchers in the node itself."""

    def __init__(self, context: Context, client: RpcClient, liveliness: LivelinessManager) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._leases = LeaseTable()
        self._local: dict[bytes, LocalWatcher] = {}
        self._changed: set[bytes] = set()
        """Keys that changed, until the callback that tells the watchers."""
        self._expires_at: dict[bytes, float] = {}
        """When the next value of a watched key expires."""
        self._timer = Timer(self._check_expiry)
        self._is_closed = False

    @property
    def lease_count(self) -> int:
        """The number of leases that are kept for others."""
        return len(self._leases)

    @property
    def tracked_key_count(self) -> int:
        """The number of keys whose values are watched for expiry."""
        return len(self._expires_at)

    def close(self) -> None:
        """Tell nothing any more, and grant no lease."""
        self._is_closed = True
        self._timer.stop()
        self._leases = LeaseTable()
        self._local.clear()
        self._changed.clear()

    def on_change(self, key: bytes) -> None:
        """Note that values of a key changed; the watchers are told in the event loop."""
        if key in self._leases or key in self._local:
            if not self._changed:
                get_hub().loop.run_callback(self._notify_changed)
            self._changed.add(key)

    def watch_locally(self, key: bytes, watcher: LocalWatcher) -> list[HeldValue]:
        """Call ``watcher`` with all values of a key when they change, and return them now."""
        self._local[key] = watcher
        values = self._snapshot(key)
        self._track_expiry(key, values)
        return values

    def end_local(self, key: bytes) -> None:
        """End what ``watch_locally`` began."""
        self._local.pop(key, None)

    def is_responsible(self, key: bytes) -> bool:
        """Return whether stores of a key reach this node, as far as it knows."""
        context = self._context
        if self._is_closed or context.is_client:  # stores do not reach a client
            return False
        replicas = context.params.replicas
        closest = context.table.closest(key, replicas)
        return is_replica(to_int(context.id), to_int(key), closest, replicas)

    # Requests

    def handle_watch(self, request: Request, endpoint: Endpoint) -> bytes:
        """Grant, renew or end a lease, and return the values that the watcher does not know."""
        args = request.args
        if len(args) < 5:
            raise BadArguments("a watch needs key, seconds, token, digest and secret")
        key, seconds, _, known, secret = args[:5]
        if type(key) is not bytes or not is_id(key):
            raise BadArguments("a watch needs a key")
        if type(seconds) is not int or seconds < 0:
            raise BadArguments("a lease is a number of seconds")
        if type(known) is not bytes or len(known) not in (0, DIGEST_BYTES):
            raise BadArguments("a digest has 8 bytes, or none")
        if type(secret) is not bytes or len(secret) != SECRET_BYTES:
            raise BadArguments("a secret has 8 bytes")
        now = request.received_at
        watcher = self._context.sender_of(request, endpoint)
        values = self._snapshot(key)
        state = KeyState(digest(values), values)
        if state.digest == known:
            state.values = None
        if seconds == 0:
            self._leases.end(key, watcher)
        elif self.is_responsible(key) and (lease := self._leases.grant(key, watcher, seconds, now)):
            state.lease_seconds = round(lease.expires_at - now)
            lease.known_digest, lease.secret = state.digest, secret
            self._track_expiry(key, values)
        return watch_messages.encode_watch_reply(state, now, MAX_STATE_BYTES)

    # Notifications

    def _notify_changed(self) -> None:
        keys, self._changed = self._changed, set()
        for key in keys:
            self._notify(key)

    def _notify(self, key: bytes) -> None:
        """Tell all watchers of a key what it has now."""
        now = self._context.clock()
        values = self._snapshot(key)
        self._track_expiry(key, values)
        local = self._local.get(key)
        if local is not None:
            local(values)
        leases = self._leases.of(key, now)
        if not leases:
            return
        state = KeyState(digest(values), values)
        encoded_state = watch_messages.encode_state(state, now, _MAX_NOTIFIED_BYTES)
        for lease in leases:
            # One notification is in flight at most; the next one has all that changed meanwhile.
            if lease.is_notifying:
                lease.has_new_changes = True
            elif lease.known_digest != state.digest:
                args = watch_messages.encode_changed_args(key, lease.secret, encoded_state)
                self._send(key, lease, state.digest, args)

    def _send(self, key: bytes, lease: Lease, state_digest: bytes, args: bytes) -> None:
        watcher = lease.watcher
        rto = self._liveliness.rto_estimator.rto_for(watcher)
        options = CallOptions(None, _retransmit, rto)
        on_done = partial(self._on_done, key, lease, lease.secret, state_digest)
        try:
            request = self._client.encode("changed", args)
            self._client.send(watcher.endpoint, watcher, request, on_done, options)
        except KademluaError:  # too many calls: the next renewal repairs it
            return
        lease.is_notifying, lease.has_new_changes = True, False
        self._context.stats.calls_by_purpose[Purpose.WATCH] += 1

    def _on_done(
        self,
        key: bytes,
        lease: Lease,
        secret: bytes,
        state_digest: bytes,
        call: PendingCall,
        result: list[Any] | KademluaError,
    ) -> None:
        lease.is_notifying = False
        if self._leases.find(key, lease.watcher) is not lease:
            return
        if lease.secret == secret:  # otherwise the watcher began again meanwhile
            if isinstance(result, KademluaError) or result != [1]:
                self._leases.end(key, lease.watcher)  # silent, or it does not watch
                return
            lease.known_digest = state_digest
        if lease.has_new_changes or lease.secret != secret:
            self.on_change(key)

    # Values

    def _snapshot(self, key: bytes) -> list[HeldValue]:
        """Return the values of a key, the most recent ones that a reply has room for."""
        now = self._context.clock()
        store = self._context.store
        values: list[HeldValue] = []
        for owner in islice(store.owners(key, newest_first=True), MAX_VALUES):
            entry = store.find(key, owner)
            if entry is not None and entry.expires_at > now:
                values.append(HeldValue(owner, entry.seq, entry.encoded, entry.expires_at))
        return take_reportable(values)

    def _track_expiry(self, key: bytes, values: list[HeldValue]) -> None:
        """Look for the expiry of a watched key's values from now on."""
        if values:
            self._expires_at[key] = min(each.expires_at for each in values)
        else:
            self._expires_at.pop(key, None)
        if not self._timer.is_running:
            self._timer.start(_EXPIRY_CHECK_INTERVAL)

    def _check_expiry(self) -> None:
        """Tell watchers of expired values, and forget leases that have ended."""
        now = self._context.clock()
        self._leases.expire(now)
        for key, expires_at in list(self._expires_at.items()):
            if key not in self._leases and key not in self._local:
                del self._expires_at[key]
            elif expires_at <= now:
                self.on_change(key)
        if len(self._leases) or self._local:
            self._timer.start(_EXPIRY_CHECK_INTERVAL)


def _retransmit(_: PendingCall) -> None:
    """Have a late notification sent once more, which is all that is needed."""
