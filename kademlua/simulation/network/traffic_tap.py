"""Tap: a transport that looks at what passes, for the figures that no node can tell.

The traffic by kind, and of single lookups the path that their queries took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.ids import ID_BYTES
from kademlua.core.wire import packets
from kademlua.runtime.transport import Receiver, Transport

_SENDER_ID = slice(1, 1 + ID_BYTES)
_RPC_ID = slice(1 + ID_BYTES, 1 + ID_BYTES + packets.RPC_ID_BYTES)
_CALL = _RPC_ID.stop
_TARGET = slice(43, 43 + ID_BYTES)
"""Where the first argument of our own requests stands, if it is an id."""
_NAME = b"4:name"
_QUERIES = ("findnode", "findvalue")
_REMEMBERED = 100_000


class Traffic:
    """What all nodes sent, by kind of RPC; an answer is of its question's kind."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        """Of requests and answers, payloads of UDP."""
        self.causes: Counter[str] = Counter()
        """The same bytes, by what they were sent for."""
        self.keys: set[bytes] = set()
        """The keys of values: to look one up is upkeep of values, if nobody wants to know."""
        self._kinds: dict[bytes, str] = {}
        # Kind and cause of requests by rpc id; those that nobody answers are forgotten in turn.
        self._young: dict[bytes, tuple[str, str]] = {}
        self._old: dict[bytes, tuple[str, str]] = {}
        self.listener: Callable[[bytes], None] | None = None
        """Told of each datagram as it is sent."""

    def sent(self, datagram: bytes, wanted: Container[bytes] = ()) -> str:
        """Count a datagram that a node sends, of which users want to know some ids; its kind."""
        if self.listener is not None:
            self.listener(datagram)
        rpc_id = datagram[_RPC_ID]
        if datagram[_CALL] == packets.REQUEST:
            at = datagram.rfind(_NAME)
            kind = self._kind(datagram[at + len(_NAME) : at + 24])
            if len(self._young) >= _REMEMBERED:
                self._old, self._young = self._young, {}
            cause = self._cause(kind, datagram, wanted)
            self._young[rpc_id] = kind, cause
            self.requests[kind] += 1
        else:
            kind, cause = self._young.get(rpc_id) or self._old.get(rpc_id, ("other", "other"))
        self.bytes[kind] += len(datagram)
        self.causes[cause] += len(datagram)
        return kind

    def _cause(self, kind: str, datagram: bytes, wanted: Container[bytes]) -> str:
        if kind == "ping":
            return "liveliness"
        target = datagram[_TARGET]
        if kind == "findvalue" or target in wanted:
            return "users"
        if kind == "store" or target in self.keys:
            return "replication"
        if kind == "findnode":
            return "neighbours" if target == datagram[_SENDER_ID] else "buckets"
        return kind

    def _kind(self, piece: bytes) -> str:
        """The name at the beginning of a piece such as ``8:findnode1:vi``."""
        known = self._kinds.get(piece)
        if known is None:
            digits, _, rest = piece.partition(b":")
            known = rest[: int(digits)].decode("ascii", "replace") if digits.isdigit() else "other"
            if len(self._kinds) < 1_000:
                self._kinds[piece] = known
        return known


class Watch:
    """One lookup, as its packets tell of it."""

    __slots__ = ("_answers", "_seeds", "rpcs")

    def __init__(self, seeds: Iterable[Endpoint]) -> None:
        self.rpcs = 0
        """Queries sent."""
        self._seeds = set(seeds)
        self._answers: list[tuple[Endpoint, bytes]] = []

    def answered(self, endpoint: Endpoint, datagram: bytes) -> None:
        """An answer to one of its queries has come."""
        self._answers.append((endpoint, datagram))

    def depth(self, contact: Contact) -> int:
        """How many queries, one after the other, it took until a node was reached: 1 for whom
        the own table named, 2 for whom one of those told of first."""
        depth, answers = 1, self._answers
        while contact.endpoint not in self._seeds:
            packed = contact.packed
            first = next((n for n, (_, datagram) in enumerate(answers) if packed in datagram), None)
            if first is None:
                break
            endpoint, datagram = answers[first]
            contact, answers = Contact(*endpoint, datagram[_SENDER_ID]), answers[:first]
            depth += 1
        return depth


class Tap:
    """The transport of one node, watched."""

    __slots__ = (
        "_inner",
        "_receive",
        "_send",
        "_sent",
        "_waiting",
        "_watches",
        "is_behind",
        "is_cut",
        "local",
        "reaches_v4",
        "reaches_v6",
    )

    def __init__(self, inner: Transport, traffic: Traffic) -> None:
        self.local = inner.local
        self.reaches_v4 = inner.reaches_v4
        self.reaches_v6 = inner.reaches_v6
        self.is_behind = False
        self._inner = inner
        self._send = inner.send
        self._sent = traffic.sent
        self._watches: dict[bytes, Watch] = {}
        self._waiting: dict[bytes, tuple[Watch, Endpoint]] = {}
        self.is_cut = False

    def start(self, receive: Receiver) -> None:
        """Begin to hand datagrams to ``receive``."""
        self._receive = receive
        self._inner.start(self._take)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop."""
        if self.is_cut:
            return False
        kind = self._sent(datagram, self._watches)
        if self._watches and kind in _QUERIES and datagram[_CALL] == packets.REQUEST:
            for target, watch in self._watches.items():
                if target in datagram:
                    watch.rpcs += 1
                    self._waiting[datagram[_RPC_ID]] = (watch, endpoint)
        return self._send(datagram, endpoint)

    def close(self) -> None:
        """Stop; idempotent."""
        self._inner.close()

    def cut(self) -> None:
        """Vanish: from now on nothing goes in or out, whatever the node does."""
        self.is_cut = True
        self._inner.close()

    def watch(self, target: bytes, seeds: Iterable[Endpoint]) -> Watch:
        """Watch a lookup of ``target`` that is about to begin, with these it knows."""
        watch = self._watches[target] = Watch(seeds)
        return watch

    def unwatch(self, target: bytes) -> None:
        """That lookup has ended."""
        watch = self._watches.pop(target, None)
        self._waiting = {key: each for key, each in self._waiting.items() if each[0] is not watch}

    def _take(self, datagram: bytes, endpoint: Endpoint) -> None:
        if self._waiting:
            known = self._waiting.pop(datagram[_RPC_ID], None)
            if known is not None:
                known[0].answered(known[1], datagram)
        self._receive(datagram, endpoint)
