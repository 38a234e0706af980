"""Addresses by text: which are private, their scope, subnet and packed form.

Results are cached, since most packets come from few addresses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from kademlua.core.address_scope import AddressScope, scope_of
from kademlua.core.contact import (
    IPV4_MAPPED_PREFIX,
    SUBNET_BYTES,
    canonical_address,
    is_private,
)

_CACHED_ADDRESSES: Final = 4096


@lru_cache(_CACHED_ADDRESSES)
def is_private_address(addr: str) -> bool:
    """Return whether an address is loopback, private, link-local or behind a carrier's NAT.

    The definition is that of ``is_private``.
    """
    return is_private(canonical_address(addr)[1])


@lru_cache(_CACHED_ADDRESSES)
def scope_of_text(addr: str) -> AddressScope:
    """Return the scope of an address; IPv4-mapped ones and what is no address are unusable."""
    try:
        address_bytes = canonical_address(addr)[1]
    except ValueError:
        return AddressScope.UNUSABLE
    is_mapped = ":" in addr and len(address_bytes) == 4
    return AddressScope.UNUSABLE if is_mapped else scope_of(address_bytes)


@lru_cache(_CACHED_ADDRESSES)
def subnet_of(addr: str) -> bytes:
    """Return the subnet of an address: an IPv4 /24 as 3 bytes, an IPv6 /48 as 6.

    A /48 is what one site gets (RFC 6177): limits for a /64 could be evaded 65,536 times.
    """
    address_bytes = canonical_address(addr)[1]
    return address_bytes[: SUBNET_BYTES[len(address_bytes)]]


@lru_cache(_CACHED_ADDRESSES)
def pack_address(addr: str) -> bytes:
    """Return an address as 16 bytes, IPv4 as an IPv4-mapped IPv6 address.

    Different addresses have different bytes: ``canonical_address`` reads mapped ones as IPv4.
    """
    address_bytes = canonical_address(addr)[1]
    return address_bytes if len(address_bytes) == 16 else IPV4_MAPPED_PREFIX + address_bytes
