"""Networks: which addresses belong together, and which are not of the open internet."""

from __future__ import annotations

from kademlua.core.contact import canonical_address

_PRIVATE_PREFIXES = (
    "127.",
    "10.",
    "192.168.",
    "169.254.",
    *(f"172.{second}." for second in range(16, 32)),
    "fc",
    "fd",
    "fe80:",
)
"""How the texts of loopback, private and link-local addresses begin (RFC 1918, 3927, 4193,
4291)."""


def is_private_address(addr: str) -> bool:
    """Whether an address, in its canonical text, is loopback, private or link-local: many nodes
    may well stand behind one such network."""
    return addr.startswith(_PRIVATE_PREFIXES) or addr == "::1"


def subnet_of(addr: str, ipv6_bits: int = 64) -> str | bytes:
    """What an address shares with those of its network: of IPv4 its /24, of IPv6 so many bits,
    in whole bytes."""
    if ":" not in addr:
        return addr[: addr.rindex(".")]
    return canonical_address(addr)[1][: ipv6_bits // 8]
