"""Private addresses and subnets, by their text and by their bytes."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kademlua.core.contact import Contact, is_private
from kademlua.core.security.subnets import is_private_address, subnet_of

PRIVATE_NETWORKS = [
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "100.64.0.0/10", "::1/128", "fe80::/10", "fc00::/7",
    )
]  # fmt: skip
EDGES = [
    address
    for network in PRIVATE_NETWORKS
    for end in (network[0], network[-1])
    for address in (end, end - 1, end + 1)
]


@pytest.mark.parametrize("address", EDGES, ids=str)
def test_private_networks_are_private_to_the_last_address(address):
    is_listed = any(address in network for network in PRIVATE_NETWORKS)
    assert is_private(address.packed) == is_private_address(str(address)) == is_listed


@given(st.ip_addresses())
@example(ipaddress.ip_address("fea0::1"))
@example(ipaddress.ip_address("100.64.0.1"))
def test_text_and_bytes_of_an_address_agree(address):
    is_listed = any(address in network for network in PRIVATE_NETWORKS)
    assert is_private(address.packed) == is_private_address(str(address)) == is_listed


@given(st.ip_addresses())
def test_subnet_of_an_address_is_that_of_its_contact(address):
    if address.version == 6 and (address.ipv4_mapped is not None or address.is_link_local):
        return
    assert subnet_of(str(address)) == Contact(str(address), 1, bytes(20)).diversity_prefix


def test_subnet_is_an_ipv4_24_or_an_ipv6_48():
    assert subnet_of("192.0.2.1") == subnet_of("192.0.2.255") != subnet_of("192.0.3.1")
    assert subnet_of("2001:db8:1::1") == subnet_of("2001:db8:1:ffff::2")
    assert subnet_of("2001:db8:1::1") != subnet_of("2001:db8:2::1")
    assert subnet_of("1.2.3.4") != subnet_of("12.3.4.5")
