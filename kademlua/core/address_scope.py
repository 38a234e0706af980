"""AddressScope: from where an address can be reached, and whether a node may send there at all."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_LOOPBACK_IPV6: Final = bytes(15) + b"\x01"
_LOOPBACK_BROADCAST: Final = b"\x7f\xff\xff\xff"
_NAT64_PREFIX: Final = bytes.fromhex("0064ff9b") + bytes(8)
"""Addresses that a gateway translates to the IPv4 address in their last 4 bytes (RFC 6052)."""
_6TO4_PREFIX = b"\x20\x02"
"""Addresses that are routed to the IPv4 address in their next 4 bytes (RFC 3056)."""


class AddressScope(IntEnum):
    """The part of the world in which an address has a meaning; the greater, the smaller it is."""

    PUBLIC = 0
    PRIVATE = 1
    """Private (RFC 1918, 4193), link-local (RFC 3927), carrier-grade NAT (RFC 6598)."""
    LOOPBACK = 2
    UNUSABLE = 3
    """No node has it: unspecified, multicast, broadcast, reserved, or link-local of IPv6."""


# Members of an enumeration are read slowly.
_PUBLIC: Final = AddressScope.PUBLIC
_PRIVATE: Final = AddressScope.PRIVATE
_LOOPBACK: Final = AddressScope.LOOPBACK
_UNUSABLE: Final = AddressScope.UNUSABLE


def scope_of(address_bytes: bytes) -> AddressScope:
    """Return the scope of an address of 4 or 16 bytes (IANA special-purpose registries)."""
    return _ipv4_scope(address_bytes) if len(address_bytes) == 4 else _ipv6_scope(address_bytes)


def _ipv4_scope(address_bytes: bytes) -> AddressScope:
    first, second = address_bytes[0], address_bytes[1]
    if first == 0 or first >= 224 or address_bytes == _LOOPBACK_BROADCAST:
        return _UNUSABLE
    if first == 127:
        return _LOOPBACK
    is_private = (
        first == 10
        or (first == 192 and second == 168)
        or (first == 169 and second == 254)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 100 and second & 0xC0 == 64)
    )
    return _PRIVATE if is_private else _PUBLIC


def _ipv6_scope(address_bytes: bytes) -> AddressScope:
    first, second = address_bytes[0], address_bytes[1]
    if address_bytes == _LOOPBACK_IPV6:
        return _LOOPBACK
    if first & 0xFE == 0xFC:
        return _PRIVATE
    embedded = None
    if address_bytes.startswith(_NAT64_PREFIX):
        embedded = address_bytes[12:]
    elif address_bytes.startswith(_6TO4_PREFIX):
        embedded = address_bytes[2:6]
    if embedded is not None:
        is_public = _ipv4_scope(embedded) is _PUBLIC
    else:  # ::/8 has the unspecified and IPv4-mapped addresses, fe80::/9 those of a link or site
        is_public = first not in (0x00, 0xFF) and not (first == 0xFE and second & 0x80)
    return _PUBLIC if is_public else _UNUSABLE
