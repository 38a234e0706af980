"""HolderCalls: the calls of a watcher to the holders of a key."""

from __future__ import annotations

import math
from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import Purpose
from kademlua.core.watch.leases import MAX_LEASE_SECONDS
from kademlua.core.watch.snapshot import HeldValue, digest
from kademlua.core.wire import packets, replies, requests, watch_messages
from kademlua.core.wire.watch_messages import MAX_VALUES, SECRET_BYTES, KeyState
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search import NetworkLookup
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.values.watch.lease_holder import LeaseHolder

_NO_SECRET: Final = bytes(SECRET_BYTES)


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


class HolderCalls:
    """Takes, renews and ends leases on a key; reads it at holders that grant none."""

    __slots__ = ("_key", "_parts")

    def __init__(self, parts: WatchParts, key: bytes) -> None:
        self._parts = parts
        self._key = key

    def look_up(self) -> NetworkLookup:
        """Look up the contacts closest to the key, with their write tokens."""
        options = SearchOptions(purpose=Purpose.WATCH)
        return self._parts.lookups.run_node_lookup(self._key, options)

    def take_lease(self, holder: Contact, token: bytes, known: bytes, secret: bytes) -> KeyState:
        """Take or renew a lease; ``known`` is the digest of what this node knows.

        Raises:
            KademluaError: The call failed, or the reply is malformed.
        """
        parts = self._parts
        args = watch_messages.encode_watch_args(self._key, MAX_LEASE_SECONDS, token, known, secret)
        _, results = parts.client.call(holder.endpoint, holder, "watch", args)
        now = parts.context.clock()
        return watch_messages.decode_watch_reply(results, parts.context.pool, now)

    def end_lease(self, holder: Contact) -> None:
        """End a lease without waiting for the reply."""
        args = watch_messages.encode_watch_args(self._key, 0, b"", b"", _NO_SECRET)
        client = self._parts.client
        try:
            client.send(holder.endpoint, holder, client.encode("watch", args), _ignore_result)
        except KademluaError:
            pass  # the lease ends by itself

    def read(self, holder: Contact) -> KeyState:
        """Return the values that a holder of any version has, without their owners.

        Raises:
            KademluaError: The call failed, or the reply is malformed.
        """
        parts, key = self._parts, self._key
        versions = parts.liveliness.versions
        # A 1.0 node sends nothing if the values do not fit into a datagram: ask for fewer then.
        fitting = packets.MAX_PAYLOAD_BYTES // parts.context.params.max_value_bytes
        fewer = parts.client.encode("findvalue", requests.encode_findvalue_args(key, fitting))
        rto = parts.liveliness.rto_estimator.rto_for(holder)
        alias = versions.alias_for(holder)
        options = CallOptions(None, _retransmit, rto, 0, alias, retransmission=fewer)
        args = requests.encode_findvalue_args(key, MAX_VALUES)
        _, results = parts.client.call(holder.endpoint, holder, "findvalue", args, options)
        if not results and versions.is_alias_refused(holder):  # it speaks 1.1 now
            return self.read(holder)
        found = replies.decode_retval(results)[:MAX_VALUES]
        values = [HeldValue(None, 0, replies.encode_value(each), math.inf) for each in found]
        return KeyState(digest(values), values)


def _ignore_result(call: PendingCall, result: list[Any] | KademluaError) -> None:
    """Ignore the result of a call."""


def _retransmit(_: PendingCall) -> None:
    """Have a late request sent once more, which is all that is needed."""
