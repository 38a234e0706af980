"""Addresses of simulated nodes: what leaves this process has none of them."""

from __future__ import annotations

import random

_SUBNET_COUNT = 1 << 21
_MULTIPLIER = 0x9E375
"""Multiplied with it, modulo a power of two, numbers change places with each other."""


def private_address(number: int) -> str:
    """An address of a private network for each number below 2**24."""
    number += 1
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def public_address(number: int) -> str:
    """A public address for each number, in a /24 of its own for each below 2**21."""
    subnet = number * _MULTIPLIER % _SUBNET_COUNT
    return f"{32 + (subnet >> 16)}.{subnet >> 8 & 255}.{subnet & 255}.{1 + number % 250}"


def address_in_subnet(subnet: int, number: int) -> tuple[str, int]:
    """An address and a port for each number in a public /24 where no others are."""
    host, port = number % 250, 4000 + number // 250
    return f"150.{subnet >> 8 & 255}.{subnet & 255}.{1 + host}", port


def unused_address(rng: random.Random) -> str:
    """A public address at which no node ever is."""
    return f"{64 + rng.randrange(32)}.{rng.randrange(256)}.{rng.randrange(256)}.7"
