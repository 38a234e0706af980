"""A transport wrapper that counts traffic by RPC and follows the queries of single lookups."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.ids import ID_BYTES
from kademlua.core.wire import packets
from kademlua.core.wire.packets import RPC_ID_OFFSET, TYPE_OFFSET
from kademlua.runtime.transport import DatagramHandler, Transport

_TARGET: Final = 43
"""The position of the first argument in requests of this implementation, if it is an id."""
_NAME_KEY: Final = b"4:name"
_LOOKUP_RPCS: Final = ("findnode", "findvalue")
_USER_RPCS: Final = ("findvalue", "watch", "changed")
_MAX_REMEMBERED: Final = 100_000
_MAX_NAMES: Final = 1_000


class TrafficCounter:
    """Traffic sent by a group of nodes, by RPC; a reply counts for the RPC of its request."""

    def __init__(self) -> None:
        self.requests_by_rpc: Counter[str] = Counter()
        self.bytes_by_rpc: Counter[str] = Counter()
        """UDP payload bytes of requests and replies."""
        self.bytes_by_purpose: Counter[str] = Counter()
        """The same bytes by purpose."""
        self.value_keys: set[bytes] = set()
        """Keys of values; a lookup of one that no user requested counts as replication."""
        self._requests: OrderedDict[bytes, tuple[str, str]] = OrderedDict()
        """RPC and purpose of the last requests by RPC id."""
        self._names: dict[bytes, str] = {}
        """Names of RPCs by the bytes of requests that contain them."""
        self.on_sent: Callable[[bytes], None] | None = None
        """Called with each datagram as it is sent."""

    def reset(self) -> None:
        """Set all counts to 0."""
        for counts in (self.requests_by_rpc, self.bytes_by_rpc, self.bytes_by_purpose):
            counts.update({name: -count for name, count in counts.items()})

    def count(self, datagram: bytes, user_targets: Container[bytes] = ()) -> str:
        """Count a datagram as it is sent, and return its RPC.

        ``user_targets`` are the ids that users look up at the moment.
        """
        if self.on_sent is not None:
            self.on_sent(datagram)
        rpc_id = datagram[RPC_ID_OFFSET:TYPE_OFFSET]
        if datagram[TYPE_OFFSET] == packets.REQUEST:
            rpc = self._rpc_of(datagram)
            purpose = self._purpose(rpc, datagram, user_targets)
            self._requests[rpc_id] = rpc, purpose
            if len(self._requests) > _MAX_REMEMBERED:
                self._requests.popitem(last=False)
            self.requests_by_rpc[rpc] += 1
        else:
            rpc, purpose = self._requests.get(rpc_id, ("other", "other"))
        self.bytes_by_rpc[rpc] += len(datagram)
        self.bytes_by_purpose[purpose] += len(datagram)
        return rpc

    def _rpc_of(self, request: bytes) -> str:
        at = request.rfind(_NAME_KEY)
        text = request[at + len(_NAME_KEY) : at + 24]
        name = self._names.get(text)
        if name is None:
            name = _rpc_name(text)
            if len(self._names) < _MAX_NAMES:
                self._names[text] = name
        return name

    def _purpose(self, rpc: str, datagram: bytes, user_targets: Container[bytes]) -> str:
        if rpc == "ping":
            return "liveliness"
        target = datagram[_TARGET : _TARGET + ID_BYTES]
        if rpc in _USER_RPCS or target in user_targets:
            return "users"
        if rpc == "store" or target in self.value_keys:
            return "replication"
        if rpc == "findnode":
            return "neighbours" if target == datagram[1:RPC_ID_OFFSET] else "buckets"
        return rpc


def _rpc_name(text: bytes) -> str:
    """Return the name at the beginning of a text such as ``8:findnode1:vi``."""
    digits, _, rest = text.partition(b":")
    return rest[: int(digits)].decode("ascii", "replace") if digits.isdigit() else "other"


class LookupWatch:
    """The queries and replies of one lookup."""

    def __init__(self, seeds: Iterable[Endpoint]) -> None:
        self.query_count = 0
        """The number of queries sent."""
        self.replies: list[tuple[Endpoint, bytes]] = []
        """The replies to queries, each with its sender."""
        self._seeds = set(seeds)

    def hops(self, contact: Contact) -> int:
        """Return the number of sequential queries until a contact was reached.

        1: the contact was in the node's own routing table; 2: such a contact returned it.
        """
        hops, replies = 1, self.replies
        while contact.endpoint not in self._seeds:
            compact = contact.compact
            first = next(
                (n for n, (_, datagram) in enumerate(replies) if compact in datagram), None
            )
            if first is None:
                break
            endpoint, datagram = replies[first]
            contact, replies = Contact(*endpoint, datagram[1:RPC_ID_OFFSET]), replies[:first]
            hops += 1
        return hops


class TrafficTap:
    """A node's transport that counts packets and watches lookups."""

    __slots__ = (
        "_count_sent", "_inner", "_pending_queries", "_receive", "_send", "_watches",
        "is_backlogged", "is_disconnected", "local_endpoint", "supports_ipv4", "supports_ipv6",
    )  # fmt: skip

    def __init__(self, inner: Transport, traffic: TrafficCounter) -> None:
        self.local_endpoint = inner.local_endpoint
        self.supports_ipv4 = inner.supports_ipv4
        self.supports_ipv6 = inner.supports_ipv6
        self.is_backlogged = False
        self._inner = inner
        self._send = inner.send
        self._count_sent = traffic.count
        self._watches: dict[bytes, LookupWatch] = {}
        self._pending_queries: dict[bytes, tuple[LookupWatch, Endpoint]] = {}
        self.is_disconnected = False

    def start(self, receive: DatagramHandler) -> None:
        """Pass incoming datagrams to ``receive``."""
        self._receive = receive
        self._inner.start(self._on_datagram)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram."""
        if self.is_disconnected:
            return False
        rpc = self._count_sent(datagram, self._watches)
        if self._watches and rpc in _LOOKUP_RPCS and datagram[TYPE_OFFSET] == packets.REQUEST:
            for target, watch in self._watches.items():
                if target in datagram:
                    watch.query_count += 1
                    self._pending_queries[datagram[RPC_ID_OFFSET:TYPE_OFFSET]] = (watch, endpoint)
        return self._send(datagram, endpoint)

    def has_unread(self) -> bool:
        """Return False: datagrams are received as they arrive."""
        return False

    def discard_backlog(self) -> int:
        """Drop the datagrams that wait to be received, and return their number."""
        return self._inner.discard_backlog()

    def close(self) -> None:
        """Close the transport; idempotent."""
        self._inner.close()

    def disconnect(self) -> None:
        """Drop all further packets in both directions, as if the process had died."""
        self.is_disconnected = True
        self._inner.close()

    def watch_lookup(self, target: bytes, seeds: Iterable[Endpoint]) -> LookupWatch:
        """Watch a lookup of ``target`` that is about to begin with the contacts ``seeds``."""
        watch = self._watches[target] = LookupWatch(seeds)
        return watch

    def unwatch_lookup(self, target: bytes) -> None:
        """Stop watching the lookup of ``target``."""
        watch = self._watches.pop(target, None)
        self._pending_queries = {
            key: each for key, each in self._pending_queries.items() if each[0] is not watch
        }

    def _on_datagram(self, datagram: bytes, endpoint: Endpoint) -> None:
        if self._pending_queries:
            pending = self._pending_queries.pop(datagram[RPC_ID_OFFSET:TYPE_OFFSET], None)
            if pending is not None:
                watch, queried_endpoint = pending
                watch.replies.append((queried_endpoint, datagram))
        self._receive(datagram, endpoint)
