"""Addresses of simulated nodes. No packet with them leaves the process."""

from __future__ import annotations

import random

_SUBNET_COUNT = 1 << 21
_MULTIPLIER = 0x9E375
"""An odd factor: multiplication modulo a power of two permutes the subnets."""


def private_address(number: int) -> str:
    """Return a private address; different for each number below 2**24."""
    number += 1
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def public_address(number: int) -> str:
    """Return a public address; each number below 2**21 has a /24 of its own."""
    subnet = number * _MULTIPLIER % _SUBNET_COUNT
    return f"{32 + (subnet >> 16)}.{subnet >> 8 & 255}.{subnet & 255}.{1 + number % 250}"


def address_in_subnet(subnet: int, number: int) -> tuple[str, int]:
    """Return an address and port in a public /24 that ``public_address`` never uses."""
    host, port = number % 250, 4000 + number // 250
    return f"150.{subnet >> 8 & 255}.{subnet & 255}.{1 + host}", port


def unused_address(rng: random.Random) -> str:
    """Return a random public address that no node uses."""
    return f"{64 + rng.randrange(32)}.{rng.randrange(256)}.{rng.randrange(256)}.7"
