"""Networks: what is near, and what an address shares with its neighbours."""

import pytest

from kademlua.core.security.subnets import is_private_address, subnet_of

NEAR = "127.0.0.1 127.255.3.4 10.1.2.3 192.168.0.1 172.16.0.1 172.31.9.9 169.254.1.1 ::1 fe80::1"
FAR = "128.0.0.1 11.0.0.1 172.15.0.1 172.32.0.1 192.169.0.1 100.64.0.1 2001:db8::1 ::2 fb00::1"


@pytest.mark.parametrize("addr", [*NEAR.split(), "fc00::1", "fd12:3456::1"])
def test_near(addr: str) -> None:
    assert is_private_address(addr)


@pytest.mark.parametrize("addr", FAR.split())
def test_far(addr: str) -> None:
    assert not is_private_address(addr)


def test_networks() -> None:
    assert subnet_of("192.0.2.1") == subnet_of("192.0.2.255") != subnet_of("192.0.3.1")
    assert subnet_of("2001:db8:0:1::1") == subnet_of("2001:db8:0:1:ffff::2")
    assert subnet_of("2001:db8:0:1::1") != subnet_of("2001:db8:0:2::1")
    assert subnet_of("2001:db8:0:1::1", 48) == subnet_of("2001:db8:0:2::1", 48)
    assert subnet_of("1.2.3.4") != subnet_of("12.3.4.5")
