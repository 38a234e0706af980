"""The scope of addresses: public, private, of this machine, or of no node."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.address_scope import AddressScope, scope_of
from kademlua.core.security.subnets import scope_of_text

SCOPES = {
    AddressScope.PUBLIC: (
        "8.8.8.8 100.63.0.1 172.32.0.1 223.255.255.255"
        " 2001:db8::1 64:ff9b::808:808 2002:808:808::1 fe00::1"
    ),
    AddressScope.PRIVATE: (
        "10.0.0.1 172.16.0.1 192.168.1.255 169.254.169.254 100.64.0.1 fc00::1 fdff::1"
    ),
    AddressScope.LOOPBACK: "127.0.0.1 127.255.255.254 ::1",
    AddressScope.UNUSABLE: (
        "0.0.0.0 0.1.2.3 224.0.0.251 239.1.2.3 240.0.0.1 255.255.255.255 127.255.255.255"
        " :: ::2 ::127.0.0.1 ::ffff:10.0.0.1 ::ffff:808:808 ff02::1 fe80::1 fec0::1"
        " 64:ff9b::a00:1 2002:7f00:1::1 example.org"
    ),
}


@pytest.mark.parametrize(
    ("addr", "scope"), [(addr, scope) for scope, addrs in SCOPES.items() for addr in addrs.split()]
)
def test_scope_follows_the_registries(addr: str, scope: AddressScope) -> None:
    assert scope_of_text(addr) is scope


@given(st.ip_addresses(v=4))
def test_what_is_global_is_usable(address: IPv4Address) -> None:
    scope = scope_of(address.packed)
    if address.is_multicast or address.is_unspecified:
        assert scope is AddressScope.UNUSABLE
    elif address.is_global:
        assert scope is AddressScope.PUBLIC


@given(st.ip_addresses(v=6))
def test_ipv6_multicast_and_link_local_addresses_are_unusable(address: IPv6Address) -> None:
    if address.is_multicast or address.is_link_local or address.ipv4_mapped:
        assert scope_of(address.packed) is AddressScope.UNUSABLE
