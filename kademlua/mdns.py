"""Discovery of nodes on the same link by multicast DNS (RFC 6762) and DNS-SD (RFC 6763).

The library zeroconf runs in a thread of its own; the endpoints it finds go to the node's hub.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import gevent
import ifaddr
import zeroconf
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.address_scope import AddressScope, scope_of
from kademlua.core.contact import Endpoint, canonical_address, format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.ids import sha1
from kademlua.core.security.subnets import scope_of_text
from kademlua.node.node import Node

logger = logging.getLogger(__name__)

SERVICE_TYPE = "_kademlua._udp.local."
JOIN_INTERVAL = 10.0
"""Seconds between two rounds of contacting nodes that were found."""
CHECK_INTERVAL = 10.0
"""Seconds between two looks at the interfaces, which may appear, disappear or change."""
_MAX_PER_ROUND = 8
"""Nodes contacted in one round."""
_MAX_QUEUED = 256
"""Addresses that wait; further ones replace the oldest. Contacted nodes know the dropped ones."""
_RESOLVE_TIMEOUT_MS = 3_000
_MAX_LABEL_CHARS = 64


class MdnsDiscovery:
    """Announces the node and contacts others, while it is entered as a context manager.

    It starts again when the addresses of this machine's interfaces change, and waits for interfaces
    if there are none.
    """

    def __init__(self, node: Node, labels: Sequence[str] = ("",)) -> None:
        """Prepare the discovery.

        ``labels`` distinguish networks on one link. The first one is announced; nodes with other
        labels are ignored.

        Raises:
            ValueError: a label is longer than 64 characters.
        """
        if any(len(label) > _MAX_LABEL_CHARS for label in labels):
            raise ValueError(f"a label has at most {_MAX_LABEL_CHARS} characters")
        self._node = node
        self._labels = labels
        self._queue: deque[Endpoint] = deque(maxlen=_MAX_QUEUED)
        self._found_event = Event()
        hub = gevent.get_hub()
        self._pool = hub.threadpool
        self._wake = hub.loop.async_()
        self._zeroconf: zeroconf.Zeroconf | None = None
        self._closed = False
        self._greenlet: Greenlet[..., None] | None = None

    def __enter__(self) -> MdnsDiscovery:
        self._wake.start(self._found_event.set)
        self._greenlet = gevent.spawn(self._run)
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed = True
        if self._greenlet is not None:
            self._greenlet.kill()
        self._close_zeroconf()
        self._wake.stop()
        self._wake.close()

    # In the node's hub

    def _run(self) -> None:
        announced: frozenset[str] = frozenset()
        has_warned = False
        while True:
            addresses = local_addresses()
            if self._zeroconf is None or addresses != announced:
                self._close_zeroconf()
                announced = addresses
                # A thread returns its error: gevent would print the traceback.
                error = self._pool.apply(self._open_zeroconf)
                if error is not None and not has_warned:
                    logger.warning("nodes on this link can't be discovered yet: %s", error)
                has_warned = error is not None
            if self._found_event.wait(CHECK_INTERVAL):
                self._found_event.clear()
                self._add_found_peers()
                gevent.sleep(JOIN_INTERVAL)
                if self._queue:
                    self._found_event.set()

    def _close_zeroconf(self) -> None:
        daemon, self._zeroconf = self._zeroconf, None
        if daemon is not None:
            self._pool.apply(daemon.close)  # sends goodbye packets

    def _add_found_peers(self) -> None:
        new_endpoints: list[Endpoint] = []
        known_endpoints = {contact.endpoint for contact in self._node.table}
        while self._queue and len(new_endpoints) < _MAX_PER_ROUND:
            endpoint = self._queue.popleft()
            if endpoint not in known_endpoints and endpoint not in new_endpoints:
                new_endpoints.append(endpoint)
        if not new_endpoints:
            return
        logger.info("found on this link: %s", ", ".join(map(format_endpoint, new_endpoints)))
        try:
            self._node.add_peers(new_endpoints)
        except KademluaError as error:
            logger.info("nodes found on this link can't be contacted: %s", error)

    # In threads

    def _open_zeroconf(self) -> Exception | None:
        """Announce the node and browse for others; return the error if that is impossible now."""
        host = self._node.local_endpoint[0]
        try:
            if ipaddress.ip_address(host).is_unspecified:
                daemon = zeroconf.Zeroconf(ip_version=zeroconf.IPVersion.All)
            else:
                daemon = zeroconf.Zeroconf(interfaces=[host])
            try:
                self._announce(daemon)
            except BaseException:
                daemon.close()
                raise
        except (OSError, RuntimeError, zeroconf.Error) as error:  # RuntimeError: no interface
            return error
        if self._closed:
            daemon.close()
        else:
            self._zeroconf = daemon
        return None

    def _announce(self, daemon: zeroconf.Zeroconf) -> None:
        host, port = self._node.local_endpoint
        daemon.register_service(
            zeroconf.ServiceInfo(
                SERVICE_TYPE,
                self._service_name,
                parsed_addresses=announced_addresses(host),
                port=port,
                properties={"net": self._labels[0]},
            )
        )
        zeroconf.ServiceBrowser(daemon, SERVICE_TYPE, handlers=[self._on_service_change])

    @property
    def _service_name(self) -> str:
        # A hash: ids of a private network are not for everyone on the link.
        return f"{sha1(self._node.id).hex()}.{SERVICE_TYPE}"

    def _on_service_change(
        self,
        zeroconf: zeroconf.Zeroconf,
        service_type: str,
        name: str,
        state_change: zeroconf.ServiceStateChange,
    ) -> None:
        if state_change.name == "Removed" or name == self._service_name:
            return
        info = zeroconf.get_service_info(service_type, name, _RESOLVE_TIMEOUT_MS)
        if info is not None:
            host, _ = self._node.local_endpoint
            for endpoint in service_endpoints(info, self._labels, discoverable_scope(host)):
                self._queue.append(endpoint)
                self._wake.send()


def discoverable_scope(host: str) -> AddressScope:
    """Return the smallest scope of addresses on the link of a node that listens on ``host``.

    Others on the link may announce any address. A loopback one would be of this machine.
    """
    is_loopback = scope_of_text(host) is AddressScope.LOOPBACK
    return AddressScope.LOOPBACK if is_loopback else AddressScope.PRIVATE


def service_endpoints(
    info: Any, labels: Sequence[str], smallest_scope: AddressScope = AddressScope.PRIVATE
) -> list[Endpoint]:
    """Return the endpoints of an announced node; none if its label differs.

    ``info`` is a ``zeroconf.ServiceInfo`` with text of another host. Addresses of a smaller scope
    than ``smallest_scope`` are left out.
    """
    label = info.properties.get(b"net") or b""
    if label not in [each.encode() for each in labels] or not info.port:
        return []
    found = []
    for addr in info.parsed_addresses()[:_MAX_PER_ROUND]:
        try:
            canonical, address_bytes = canonical_address(addr)
        except ValueError:  # with a zone, which has no meaning on another host
            continue
        if scope_of(address_bytes) <= smallest_scope:
            found.append((canonical, info.port))
    return found


def local_addresses() -> frozenset[str]:
    """Return the addresses of this machine's interfaces, with the names of the interfaces."""
    return frozenset(
        f"{adapter.name} {adapter_ip.ip}"
        for adapter in ifaddr.get_adapters()
        for adapter_ip in adapter.ips
    )


def announced_addresses(host: str) -> list[str]:
    """Return the addresses to announce for a node that listens on ``host``.

    For a wildcard address, these are the addresses of this machine's interfaces.
    """
    if not ipaddress.ip_address(host).is_unspecified:
        return [host]
    found = []
    for adapter in ifaddr.get_adapters():
        for adapter_ip in adapter.ips:
            text = adapter_ip.ip if isinstance(adapter_ip.ip, str) else adapter_ip.ip[0]
            addr = ipaddress.ip_address(text.partition("%")[0])
            # An IPv6 link-local address is useless without the interface's name.
            is_routable = addr.version == 4 or (host == "::" and not addr.is_link_local)
            if is_routable and not addr.is_loopback:
                found.append(str(addr))
    return found
