"""Quotas: how much a store accepts, in total and per key and owner's address."""

from __future__ import annotations

from typing import NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params

ENTRY_UNIT = 1 << 64
"""One entry in an address's usage, which holds entries and bytes in one number."""
_BYTES_MASK = ENTRY_UNIT - 1


def quota_key(owner: Contact) -> bytes:
    """Return what stands for an owner's address in quotas: an IPv4 address, or an IPv6 /64.

    An IPv6 host can use any address of its /64.
    """
    return owner.compact[ID_BYTES:-2][:8]


class QuotaUsage(NamedTuple):
    """What a store holds, without the values that a new one would replace."""

    entries: int
    key_entries: int
    """Values of the new value's key."""
    stored_bytes: int
    address_usage: int
    """Values of the owner's address, in ``ENTRY_UNIT`` and bytes."""


def check_quotas(params: Params, size: int, usage: QuotaUsage) -> None:
    """Check that a value of ``size`` bytes exceeds no quota.

    Raises:
        StoreRefused: a quota is reached.
    """
    entries, key_entries, stored_bytes, address_usage = usage
    if size > params.max_value_bytes:
        raise StoreRefused(f"value over {params.max_value_bytes} bytes")
    if entries >= params.max_entries:
        raise StoreRefused("no room for more values")
    if key_entries >= params.max_entries_per_key:
        raise StoreRefused("no room for more values of this key")
    if stored_bytes + size > params.max_stored_bytes:
        raise StoreRefused("no room for more bytes")
    if (address_usage & _BYTES_MASK) + size > params.max_bytes_per_address:
        raise StoreRefused("no room for more bytes of this address")
    if address_usage >> 64 >= params.max_entries_per_address:
        raise StoreRefused("no room for more values of this address")
