"""Flood: a client that stores at full speed on one node, with raw datagrams."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import time
from collections.abc import Iterable, Iterator

from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets, replies, requests

WINDOW = 256
"""Outstanding stores, at most."""
_TIMEOUT = 0.5
"""Seconds without a response until requests count as lost."""


class Flood:
    """A client of one node that records acknowledged and refused stores."""

    def __init__(self, to: Endpoint, size: int = 100) -> None:
        self._id = os.urandom(20)
        self._size = size
        self._waiting: dict[bytes, bytes] = {}
        self.acknowledged: dict[bytes, bytes] = {}
        """Bencoded values by key."""
        self.refused: dict[str, int] = {}
        self._sent = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.connect(to)

    def value_of(self, key: bytes) -> bytes:
        """Return the bencoded value that is stored under a key."""
        return b"%d:%b" % (self._size, (key * (self._size // 20 + 1))[: self._size])

    def run(self, count: int, until: float = float("inf"), window: int = WINDOW) -> float:
        """Store until ``count`` more stores are acknowledged or ``until``; return the seconds."""
        started_at = time.monotonic()
        wanted = len(self.acknowledged) + count
        last_response = started_at
        while len(self.acknowledged) < wanted and (now := time.monotonic()) < until:
            if now - last_response > _TIMEOUT:  # lost, or the node was killed
                self._waiting.clear()
                last_response = now
            for _ in range(min(window - len(self._waiting), 64)):
                self._send()
            if select.select([self._socket], [], [], 0.01)[0]:
                last_response = now
                self._receive()
        return time.monotonic() - started_at

    def _send(self) -> None:
        self._sent += 1
        key, rpc_id = os.urandom(20), b"%08x" % self._sent
        args = requests.encode_store_args(requests.StoreArguments(key, self.value_of(key), 86_400))
        datagram = packets.encode_request(
            self._id, rpc_id, packets.encode_request_payload(b"store", args, read_only=False)
        )
        try:
            self._socket.send(datagram)
        except OSError:
            return
        self._waiting[rpc_id] = key

    def missing(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return the keys whose acknowledged values the node does not return."""
        remaining = set(keys)
        missing = set()
        while remaining:
            requested = {}
            for key in itertools.islice(remaining, 64):
                self._sent += 1
                rpc_id = b"%08x" % self._sent
                requested[rpc_id] = key
                call = packets.encode_request_payload(
                    b"findvalue", requests.encode_findvalue_args(key, 1), read_only=False
                )
                self._socket.send(packets.encode_request(self._id, rpc_id, call))
            while requested and select.select([self._socket], [], [], _TIMEOUT)[0]:
                for packet in self._packets():
                    requested_key = requested.pop(packet.rpc_id, None)
                    if requested_key is not None:
                        remaining.discard(requested_key)
                        if self.acknowledged[requested_key] not in packet.payload:
                            missing.add(requested_key)
        return missing

    def _packets(self) -> Iterator[packets.Response]:
        while True:
            try:
                packet = packets.decode(self._socket.recv(65_536))
            except OSError:
                return
            if isinstance(packet, packets.Response):
                yield packet
            else:  # the node validates the address before it accepts a store
                answer = packets.encode_response(self._id, packet.rpc_id, replies.PONG)
                with contextlib.suppress(OSError):
                    self._socket.send(answer)

    def _receive(self) -> None:
        for packet in self._packets():
            key = self._waiting.pop(packet.rpc_id, None)
            if key is None:
                continue
            refusal = replies.decode_store_reply(packets.decode_values(packet.payload))
            if refusal is None:
                self.acknowledged[key] = self.value_of(key)
            else:
                reason = refusal.reason
                self.refused[reason] = self.refused.get(reason, 0) + 1

    def close(self) -> None:
        self._socket.close()
