"""Host name resolution, and the local address from which a host is reachable."""

from __future__ import annotations

import ipaddress
import socket

import click
import gevent.socket

from kademlua.core.contact import LINK_LOCAL_MESSAGE, Endpoint, canonical_address, is_link_local


def resolve(host: str) -> list[str]:
    """Return the IP addresses of a host, in the resolver's order; ``[::1]`` is ``::1``.

    Raises:
        click.ClickException: the name cannot be resolved, or only to link-local addresses.
    """
    host = host.removeprefix("[").removesuffix("]")
    try:
        addresses = [canonical_address(host)]
    except ValueError:
        addresses = [canonical_address(addr) for addr in _resolve_name(host)]
    usable = [addr for addr, address_bytes in addresses if not is_link_local(address_bytes)]
    if not usable:
        raise click.ClickException(f"{host}: {LINK_LOCAL_MESSAGE}")
    return list(dict.fromkeys(usable))


def _resolve_name(host: str) -> list[str]:
    """Return the IP addresses of a host name, without scopes."""
    try:
        rows = gevent.socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise click.ClickException(f"{host}: {reason}") from None
    return [str(row[4][0]).partition("%")[0] for row in rows]


def is_loopback(addr: str) -> bool:
    """Return whether an IP address is a loopback address."""
    return ipaddress.ip_address(addr).is_loopback


def is_off_host(endpoint: Endpoint) -> bool:
    """Return whether an endpoint is an IP address other than loopback."""
    try:
        return not is_loopback(endpoint[0])
    except ValueError:  # a host name, not resolved yet
        return False


def bind_hosts(targets: list[str]) -> list[str]:
    """Return addresses from which a client reaches ``targets``, the preferred one first.

    Prefer loopback, so that other machines cannot reach the client.
    """
    v4 = [addr for addr in targets if ":" not in addr]
    v6 = [addr for addr in targets if ":" in addr]
    host_v4 = ["127.0.0.1" if all(map(is_loopback, v4)) else "0.0.0.0"] if v4 else []
    if not v6:
        return host_v4
    if v4 or not all(map(is_loopback, v6)):
        return ["::", *host_v4]  # the second is for machines without IPv6
    return ["::1"]
