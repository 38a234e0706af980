"""The UDP event loop: one greenlet that reads a socket in batches.

The loop passes each datagram of a batch to the node, and only then lets other greenlets run.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
import struct
import sys
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD
from typing import Final, Protocol

import gevent
from gevent import Greenlet

from kademlua.core.contact import LINK_LOCAL_MESSAGE, Endpoint, global_address
from kademlua.core.params import Params
from kademlua.runtime.reply_sources import CONTROL_BYTES, ReplySources, has_several_addresses
from kademlua.runtime.safe_logger import SafeLogger

logger = SafeLogger(logging.getLogger(__name__))

DatagramHandler = Callable[[bytes, Endpoint], None]

_SO_MEMINFO: Final = 55
"""SO_MEMINFO of Linux: the bytes in the receive buffer, and eight more numbers."""
_BACKLOG_BYTES: Final = 65_536
"""A node is backlogged when this many bytes wait: about 85 datagrams."""
_MAX_BACKLOG: Final = 1_000_000
"""Datagrams dropped together, at most: a flood must not hold the event loop."""
_MEMINFO: Final = struct.Struct("=I")
_EVENT_READ: Final = 1
_NO_BYTES: Final = bytes(4)
"""What the system returns for an empty receive buffer, as an int of C."""
_MAX_DATAGRAM: Final = 65_536
_ADDRESS_CHECK_INTERVAL: Final = 60.0
"""Seconds between two counts of this machine's addresses."""


class Transport(Protocol):
    """Carries a node's datagrams. Only ``start`` may raise; nothing may block."""

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port of the socket, once started."""

    @property
    def is_backlogged(self) -> bool:
        """Whether datagrams arrive faster than the node processes them."""

    def start(self, receive: DatagramHandler) -> None:
        """Bind, and pass datagrams to ``receive``; OSError if that fails."""

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if the system refused it."""

    def has_unread(self) -> bool:
        """Return whether a datagram waits to be received."""

    def discard_backlog(self) -> int:
        """Drop the datagrams that wait to be received, and return their number."""

    @property
    def supports_ipv4(self) -> bool:
        """Whether the transport can send to IPv4 addresses."""

    @property
    def supports_ipv6(self) -> bool:
        """Whether the transport can send to IPv6 addresses."""

    def close(self) -> None:
        """Stop and free everything; idempotent."""


class UdpTransport:
    """A UDP socket on an IPv4 or IPv6 address, or on ``::`` for both.

    On a wildcard address of a machine with several addresses, a reply leaves from the address that
    the peer used. Link-local IPv6 addresses are not supported.
    """

    def __init__(self, host: str, port: int, params: Params) -> None:
        """Prepare the socket; port 0 chooses a free port.

        Raises:
            ValueError: ``host`` is no IP address, or a link-local one.
        """
        addr, address_bytes = global_address(host)
        self.local_endpoint: Endpoint = (addr, port)
        self.is_backlogged = False
        self._params = params
        self._is_ipv6 = ":" in self.local_endpoint[0]
        self._is_dual = self.local_endpoint[0] == "::"
        self._is_wildcard = not any(address_bytes)
        self._reply_sources: ReplySources | None = None
        """Used if the machine has several addresses."""
        self._has_warned_of_link_local = False
        self._socket: socket.socket | None = None
        self._greenlet: Greenlet[..., None] | None = None

    def start(self, receive: DatagramHandler) -> None:
        """Bind the socket and spawn the event loop; OSError if the port is in use."""
        if self._socket is not None:
            return
        family = socket.AF_INET6 if self._is_ipv6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._params.receive_buffer_bytes)
            if self._is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not self._is_dual)
            sock.bind(self.local_endpoint)
        except BaseException:
            sock.close()
            raise
        self.local_endpoint = sock.getsockname()[:2]
        if self._is_wildcard:
            self._check_addresses(sock)
        self._socket = sock
        self._greenlet = gevent.spawn(self._run, sock, receive)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if the system refused it."""
        if self._socket is None:
            return False
        sockaddr = self._to_sockaddr(endpoint) if self._is_ipv6 else endpoint
        try:
            if self._reply_sources is not None:
                self._send_from(self._reply_sources, datagram, endpoint, sockaddr)
            else:
                self._socket.sendto(datagram, sockaddr)
        except OSError:  # buffer full, no route, invalid address
            return False
        return True

    def _send_from(
        self, sources: ReplySources, datagram: bytes, endpoint: Endpoint, sockaddr: Endpoint
    ) -> None:
        """Send from the local address that the peer used last; OSError if that fails."""
        assert self._socket is not None
        control_data = sources.get(endpoint)
        if control_data is not None:
            try:
                self._socket.sendmsg((datagram,), control_data, 0, sockaddr)
                return
            except BlockingIOError:
                raise
            except OSError:  # the address was removed
                sources.forget(endpoint)
        self._socket.sendto(datagram, sockaddr)

    def has_unread(self) -> bool:
        """Return whether a datagram waits in the receive buffer."""
        # To peek into an empty buffer would raise an exception, which takes longer.
        sock = self._socket
        return sock is not None and ioctl(sock.fileno(), FIONREAD, _NO_BYTES) != _NO_BYTES

    def discard_backlog(self) -> int:
        """Drop the datagrams in the receive buffer, and return their number."""
        count = 0
        try:
            while self._socket is not None and count < _MAX_BACKLOG:
                self._socket.recv(1)
                count += 1
        except OSError:  # usually BlockingIOError: the buffer is empty
            pass
        return count

    @property
    def supports_ipv4(self) -> bool:
        """Whether the transport can send to IPv4 addresses."""
        return self._is_dual or not self._is_ipv6

    @property
    def supports_ipv6(self) -> bool:
        """Whether the transport can send to IPv6 addresses."""
        return self._is_ipv6

    def close(self) -> None:
        """Stop the event loop and close the socket; idempotent."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        greenlet, self._greenlet = self._greenlet, None
        # A handler that closes its node runs in the loop, which then ends by itself.
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill()
        sock.close()

    def _run(self, sock: socket.socket, receive: DatagramHandler) -> None:
        # The watcher stays active: hub.wait would start and stop it for each datagram. It
        # fires in each iteration of the loop while data waits, so other greenlets have run
        # before a full batch is followed by the next.
        hub = gevent.get_hub()
        loop = hub.loop
        readable = loop.io(sock.fileno(), _EVENT_READ)
        readable.start(gevent.getcurrent().switch)
        iteration = 0
        next_check = loop.now() + _ADDRESS_CHECK_INTERVAL if self._is_wildcard else math.inf
        try:
            while self._socket is sock:
                hub.switch()
                if loop.now() >= next_check:
                    next_check = loop.now() + _ADDRESS_CHECK_INTERVAL
                    self._check_addresses(sock)
                previous_iteration, iteration = iteration, loop.iteration
                # Finding the socket empty costs as much as reading a datagram. So the loop
                # looks for a second one only if the watcher fires again immediately.
                max_datagrams = (
                    self._params.receive_batch if iteration == previous_iteration + 1 else 1
                )
                is_full = self._drain(sock, receive, max_datagrams) and max_datagrams > 1
                self.is_backlogged = is_full and _has_backlog(sock)
        finally:
            readable.stop()
            readable.close()

    def _drain(self, sock: socket.socket, receive: DatagramHandler, max_datagrams: int) -> bool:
        """Process at most ``max_datagrams``; return whether there were that many."""
        recvfrom, sources = sock.recvfrom, self._reply_sources
        for _ in range(max_datagrams):
            try:
                if sources is None:
                    datagram, sockaddr = recvfrom(_MAX_DATAGRAM)
                else:
                    datagram, control_data, _, sockaddr = sock.recvmsg(_MAX_DATAGRAM, CONTROL_BYTES)
            except BlockingIOError:
                return False
            except OSError as error:
                # Some systems report a peer's closed port here.
                is_open = self._socket is sock
                if is_open and error.errno not in (errno.ECONNREFUSED, errno.ECONNRESET):
                    logger.warning("receiving failed: %s", error)
                return False
            source = self._from_sockaddr(sockaddr) if self._is_ipv6 else sockaddr
            if source is None:
                continue
            if sources is not None:
                sources.record(source, control_data)
            try:
                receive(datagram, source)
            except Exception:  # a defect must cost one datagram, not the node
                logger.exception("processing a datagram failed")
        return True

    def _check_addresses(self, sock: socket.socket) -> None:
        """Note the local address of each datagram from now on if there are several."""
        if self._reply_sources is None and has_several_addresses():
            self._reply_sources = ReplySources(sock)

    def _to_sockaddr(self, endpoint: Endpoint) -> Endpoint:
        addr, port = endpoint
        return endpoint if ":" in addr else (f"::ffff:{addr}", port)

    def _from_sockaddr(self, sockaddr: tuple[str, int, int, int]) -> Endpoint | None:
        """Return the source of a datagram; None for a link-local one, which has a scope."""
        addr, port, _, scope = sockaddr
        if scope:
            if not self._has_warned_of_link_local:
                self._has_warned_of_link_local = True
                logger.warning("datagrams from %s are dropped: %s", addr, LINK_LOCAL_MESSAGE)
            return None
        return (addr.removeprefix("::ffff:") if "." in addr else addr, port)


def _has_backlog(sock: socket.socket) -> bool:
    """Return whether many bytes wait in the receive buffer; False if the system does not tell."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        [used] = _MEMINFO.unpack_from(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
    except (OSError, struct.error):
        return False
    return bool(used > _BACKLOG_BYTES)
