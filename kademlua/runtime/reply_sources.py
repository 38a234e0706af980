"""ReplySources: from which local address to reply, on a machine with several addresses.

A socket on a wildcard address receives at all addresses of the machine, but sends from the one that
the system chooses for the destination. A peer ignores a reply from another address than the one
that it queried (RFC 1123, section 2.3). Linux tells and takes the local address of a datagram in
its control data (RFC 3542, section 6.2; ip(7), IP_PKTINFO).
"""

from __future__ import annotations

import socket
import sys
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import Final

from kademlua.core.contact import Endpoint

ControlData = list[tuple[int, int, bytes]]

CONTROL_BYTES: Final = socket.CMSG_SPACE(20) if hasattr(socket, "CMSG_SPACE") else 0
"""Space for the control data of a received datagram."""
_IP_PKTINFO: Final = 8
"""Of Linux; Python has no name for it before 3.12."""
_INFO_V4: Final = Struct("=i4s4s")
_INFO_V6: Final = Struct("=16si")
_MAX_PEERS: Final = 4_096
"""Peers of each generation."""
_ROUTES_V4: Final = Path("/proc/net/fib_trie")
_ADDRESSES_V6: Final = Path("/proc/net/if_inet6")
_GLOBAL_SCOPE: Final = "00"
_MAX_FILE_CHARS: Final = 1 << 18
"""The routes of a router may be long."""


class ReplySources:
    """The local address that each peer used last.

    The size is bounded like that of ``ContactPool``.
    """

    __slots__ = ("_is_ipv6", "_old", "_young")

    def __init__(self, sock: socket.socket) -> None:
        """Ask the system for the local address of each datagram."""
        self._is_ipv6 = sock.family == socket.AF_INET6
        if self._is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._young: dict[Endpoint, ControlData] = {}
        self._old: dict[Endpoint, ControlData] = {}

    def get(self, endpoint: Endpoint) -> ControlData | None:
        """Return the control data for a datagram to a peer; None if the peer is unknown."""
        return self._young.get(endpoint) or self._old.get(endpoint)

    def record(self, endpoint: Endpoint, control_data: ControlData) -> None:
        """Record the control data of a datagram from a peer."""
        for level, kind, data in control_data:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                # Without the interface: the reply may leave by another one.
                info = _INFO_V6.pack(_INFO_V6.unpack(data)[0], 0)
            elif level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                info = _INFO_V4.pack(0, _INFO_V4.unpack(data)[1], bytes(4))
            else:
                continue
            if len(self._young) >= _MAX_PEERS:
                self._old, self._young = self._young, {}
            self._young[endpoint] = [(level, kind, info)]

    def forget(self, endpoint: Endpoint) -> None:
        """Forget a peer: the machine has lost the address."""
        self._young.pop(endpoint, None)
        self._old.pop(endpoint, None)


def has_several_addresses() -> bool:
    """Return whether this machine has several addresses of one family, loopback and link-local ones
    not counted.

    Return False on other systems than Linux.
    """
    if not sys.platform.startswith("linux"):
        return False
    return _count_v4() > 1 or _count_v6() > 1


def _count_v4() -> int:
    lines = _read_lines(_ROUTES_V4)
    # An address is on the line before "/32 host LOCAL".
    found = {address.split()[-1] for address, kind in pairwise(lines) if "/32 host LOCAL" in kind}
    return sum(not address.startswith("127.") for address in found)


def _count_v6() -> int:
    return sum(line.split()[3] == _GLOBAL_SCOPE for line in _read_lines(_ADDRESSES_V6))


def _read_lines(path: Path) -> list[str]:
    """Return the first lines of a file; none if it cannot be read."""
    try:
        with path.open() as file:
            return file.read(_MAX_FILE_CHARS).splitlines()
    except OSError:
        return []
