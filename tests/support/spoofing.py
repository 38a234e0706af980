"""Datagrams with any source address of 127.0.0.0/8, from one socket."""

from __future__ import annotations

import random
import socket
import struct
import sys

from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets, requests

_PKTINFO = 8
"""Linux' IP_PKTINFO: which of this machine's addresses a datagram is sent from, or came to."""
IS_SUPPORTED = sys.platform == "linux"


class Spoofer:
    """A socket that sends as if from other addresses of this machine, and gets what is sent
    there."""

    def __init__(self, to: Endpoint) -> None:
        self._to = to
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.setblocking(False)

    def send(self, datagram: bytes, source: str) -> None:
        info = struct.pack("=I4s4s", 0, socket.inet_aton(source), b"\0" * 4)
        self._socket.sendmsg([datagram], [(socket.IPPROTO_IP, _PKTINFO, info)], 0, self._to)

    def received(self) -> list[tuple[str, int]]:
        """What has arrived since: to which address, and how many bytes."""
        found = []
        while True:
            try:
                data, extra, _, _ = self._socket.recvmsg(65_536, 64)
            except BlockingIOError:
                return found
            [(_, _, info)] = extra
            found.append((socket.inet_ntoa(info[8:12]), len(data)))

    def close(self) -> None:
        self._socket.close()


def spoofed_address(number: int) -> str:
    """The address of this number, one of 16 million."""
    number += 0x7F010001
    return socket.inet_ntoa(struct.pack("!I", number))


def random_request(rng: random.Random) -> bytes:
    """A request of any RPC and version, of a random id, padded or not."""
    key = b"20:" + rng.randbytes(20)
    name, args = rng.choice(
        [
            (b"ping", b""),
            (b"findnode", key),
            (b"findvalue", key + b"i50e"),
            (b"store", key + b"%d:" % 400 + rng.randbytes(400)),
            (b"store", key + b"1:vi0e8:" + rng.randbytes(8) + b"i60e"),
            (b"remove", key + b"i60e"),
            (b"getsocket", b""),
            (b"nothere", key),
        ]
    )
    if rng.random() < 0.5:
        payload = packets.encode_request_payload(name, args, read_only=rng.random() < 0.1)
    else:
        payload = b"d4:name%d:%b4:argsl%bee" % (len(name), name, args)
    padding = rng.choice([0, 0, rng.randrange(300)])
    return packets.encode_request(rng.randbytes(20), rng.randbytes(8), payload) + bytes(padding)


def findnode_request(rng: random.Random) -> bytes:
    """The request that costs most for its bytes."""
    payload = packets.encode_request_payload(
        b"findnode", requests.encode_key_args(rng.randbytes(20)), read_only=False
    )
    return packets.encode_request(rng.randbytes(20), rng.randbytes(8), payload)
