"""The UDP event loop: one greenlet that drains a raw socket in batches.

A greenlet per datagram costs four times as much, a wait per datagram twice; so the loop
takes what is there, up to a batch, hands each datagram on, and only then lets others run.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

import gevent
from gevent import Greenlet

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.core.params import Params

logger = logging.getLogger(__name__)

DatagramHandler = Callable[[bytes, Endpoint], None]

_SO_MEMINFO = 55
"""Linux' SO_MEMINFO: the bytes in the receive buffer, and eight more numbers."""
_BACKLOG_BYTES = 65_536
"""A node is behind when so many bytes wait there: some 85 datagrams, a millisecond or two."""
_MEMINFO = struct.Struct("=I")
_EVENT_READ = 1
_MAX_DATAGRAM = 65_536


class Transport(Protocol):
    """What carries a node's datagrams. Nothing here but ``start`` may raise or block."""

    @property
    def local_endpoint(self) -> Endpoint:
        """Where it is bound, once started."""

    @property
    def is_backlogged(self) -> bool:
        """Whether more comes in than is taken."""

    def start(self, receive: DatagramHandler) -> None:
        """Bind and begin to hand datagrams to ``receive``; OSError where that fails."""

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop; False where the system would not take it."""

    @property
    def supports_ipv4(self) -> bool:
        """Whether it can send to IPv4 addresses."""

    @property
    def supports_ipv6(self) -> bool:
        """Whether it can send to IPv6 addresses."""

    def close(self) -> None:
        """Stop and free everything; idempotent."""


class UdpTransport:
    """A UDP socket on an IPv4 or IPv6 address, or on ``::``, which is both."""

    def __init__(self, host: str, port: int, params: Params) -> None:
        """ValueError where ``host`` is no IP address; port 0 takes a free one."""
        self.local_endpoint: Endpoint = (canonical_address(host)[0], port)
        self.is_backlogged = False
        self._params = params
        self._is_ipv6 = ":" in self.local_endpoint[0]
        self._is_dual = self.local_endpoint[0] == "::"
        self._socket: socket.socket | None = None
        self._greenlet: Greenlet[..., None] | None = None

    def start(self, receive: DatagramHandler) -> None:
        """Bind the socket and spawn the event loop; OSError where the port is in use."""
        if self._socket is not None:
            return
        family = socket.AF_INET6 if self._is_ipv6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._params.receive_buffer_bytes)
            if self._is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not self._is_dual)
            sock.bind(self.local_endpoint)
        except BaseException:
            sock.close()
            raise
        self.local_endpoint = sock.getsockname()[:2]
        self._socket = sock
        self._greenlet = gevent.spawn(self._run, sock, receive)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop; False where the system would not take it."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(
                datagram, self._to_sockaddr(endpoint) if self._is_ipv6 else endpoint
            )
        except OSError:  # buffer full, no route, a port or an address that can't be
            return False
        return True

    @property
    def supports_ipv4(self) -> bool:
        """Whether it can send to IPv4 addresses."""
        return self._is_dual or not self._is_ipv6

    @property
    def supports_ipv6(self) -> bool:
        """Whether it can send to IPv6 addresses."""
        return self._is_ipv6

    def close(self) -> None:
        """Stop the event loop and close the socket; idempotent."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        greenlet, self._greenlet = self._greenlet, None
        # From inside of the loop (a handler that closes its node) it ends by itself.
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill()
        sock.close()

    def _run(self, sock: socket.socket, receive: DatagramHandler) -> None:
        # The watcher stays as it is: to start and stop it for each wait, as hub.wait does,
        # costs 1.5 µs a datagram. It goes off in each turn of the loop while something waits,
        # so others have run before a full batch is followed by the next.
        hub = gevent.get_hub()
        loop = hub.loop
        readable = loop.io(sock.fileno(), _EVENT_READ)
        readable.start(gevent.getcurrent().switch)
        iteration = 0
        try:
            while self._socket is sock:
                hub.switch()
                previous_iteration, iteration = iteration, loop.iteration
                # To find the socket empty costs as much as to find a datagram. So the second
                # one is looked for only when the loop says, in its next turn, that it is there.
                max_datagrams = (
                    self._params.receive_batch if iteration == previous_iteration + 1 else 1
                )
                is_full = self._drain(sock, receive, max_datagrams) and max_datagrams > 1
                self.is_backlogged = is_full and _has_backlog(sock)
        finally:
            readable.stop()
            readable.close()

    def _drain(self, sock: socket.socket, receive: DatagramHandler, max_datagrams: int) -> bool:
        """Hand on what has arrived, so many datagrams at most; whether there were so many."""
        recvfrom = sock.recvfrom
        for _ in range(max_datagrams):
            try:
                datagram, source = recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return False
            except OSError as error:
                # A peer's port that is closed shows up here on some systems.
                is_open = self._socket is sock
                if is_open and error.errno not in (errno.ECONNREFUSED, errno.ECONNRESET):
                    logger.warning("receiving failed: %s", error)
                return False
            try:
                receive(datagram, self._from_sockaddr(source) if self._is_ipv6 else source)
            except Exception:  # a defect of ours must cost one datagram, not the node
                logger.exception("a datagram could not be handled")
        return True

    def _to_sockaddr(self, endpoint: Endpoint) -> Endpoint:
        addr, port = endpoint
        return endpoint if ":" in addr else (f"::ffff:{addr}", port)

    def _from_sockaddr(self, sockaddr: tuple[str, int, int, int]) -> Endpoint:
        addr, port = sockaddr[0], sockaddr[1]
        return (addr.removeprefix("::ffff:") if "." in addr else addr, port)


def _has_backlog(sock: socket.socket) -> bool:
    """Whether much waits in a socket's receive buffer; False where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        [used] = _MEMINFO.unpack_from(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
    except (OSError, struct.error):
        return False
    return bool(used > _BACKLOG_BYTES)
