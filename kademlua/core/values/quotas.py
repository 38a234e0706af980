"""Quotas: how much a store accepts, and which subnet yields when the store is full.

A value is charged to its sender: to its owner if that one stored it here, otherwise to the holder
that transferred it. Nothing proves who owns a transferred value, so that a charge to the owner
would let any peer use up the quota of another one.
"""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.subnet_ranking import SubnetRanking

VALUE_OVERHEAD: Final = 2_400
"""Bytes charged for a value in addition to its own: what the store in memory needs at most for its
key, owner, times and indexes, measured."""
_BYTE_BITS: Final = 51
"""Enough for ``Params.max_stored_bytes``."""
ENTRY_UNIT: Final = 1 << _BYTE_BITS
"""One entry in a usage, which holds entries and charged bytes in one number."""
EMPTY_USAGE: Final = ENTRY_UNIT + VALUE_OVERHEAD
"""What a value of 0 bytes is charged."""
_BYTES_MASK: Final = ENTRY_UNIT - 1
_V4_ADDRESS_BYTES: Final = 4


def quota_key(contact: Contact) -> bytes:
    """Return what stands for an address in quotas: an IPv4 address, or an IPv6 /64.

    An IPv6 host can use any address of its /64.
    """
    return contact.compact[ID_BYTES:-2][:8]


def subnet_key(address: bytes) -> bytes:
    """Return the subnet of a ``quota_key``: an IPv4 /24 as 3 bytes, an IPv6 /48 as 6."""
    return address[:3] if len(address) == _V4_ADDRESS_BYTES else address[:6]


def usage_of(size: int) -> int:
    """Return what a value of ``size`` bytes is charged, in ``ENTRY_UNIT`` and bytes."""
    return EMPTY_USAGE + size


def entries_of(usage: int) -> int:
    """Return the number of values in a usage."""
    return usage >> _BYTE_BITS


def value_bytes_of(usage: int) -> int:
    """Return the bytes of the values in a usage, without their overhead."""
    return (usage & _BYTES_MASK) - (usage >> _BYTE_BITS) * VALUE_OVERHEAD


def check_quotas(
    params: Params,
    size: int,
    total: int,
    address_usage: int,
    key_entries: int,
    subnet_key_entries: int = 0,
) -> bool:
    """Check that a value of ``size`` bytes exceeds no quota.

    Return whether the store is full, so that a subnet has to yield: see ``StoreUsage``.

    Args:
        total: The usage of all values, without those that the new one replaces; so are the others.
        address_usage: That of the sender's address.
        key_entries: The number of values of the key.
        subnet_key_entries: The number of those that are charged to the sender's subnet.

    Raises:
        StoreRefused: a quota is reached.
    """
    charged_bytes = size + VALUE_OVERHEAD
    if size > params.max_value_bytes:
        raise StoreRefused(f"value over {params.max_value_bytes} bytes")
    if key_entries >= params.max_entries_per_key:
        raise StoreRefused("no room for more values of this key")
    if subnet_key_entries >= params.subnet_limit_key:
        raise StoreRefused("no room for more values of this key and subnet")
    if (address_usage & _BYTES_MASK) + charged_bytes > params.max_bytes_per_address:
        raise StoreRefused("no room for more bytes of this address")
    if address_usage >> _BYTE_BITS >= params.max_entries_per_address:
        raise StoreRefused("no room for more values of this address")
    return (
        total >> _BYTE_BITS >= params.max_entries
        or (total & _BYTES_MASK) + charged_bytes > params.max_stored_bytes
    )


def is_limited_by_key(params: Params, sender: Contact) -> bool:
    """Return whether ``Params.subnet_limit_key`` applies to a sender."""
    return not (params.exempt_private and sender.is_private)


class StoreUsage:
    """The usage of a store, in total and by subnet.

    When the store is full, a subnet above its fair share yields to one below. The fair share is
    the limit that is reached, divided by the number of subnets with values.
    """

    __slots__ = ("_rankings", "by_subnet", "total")

    def __init__(self) -> None:
        self.total = 0
        """In ``ENTRY_UNIT`` and charged bytes, like that of each subnet."""
        self.by_subnet: dict[bytes, int] = {}
        self._rankings: dict[int, SubnetRanking] = {}
        """By the bits of usages that count: all for the number of values, or those for bytes."""

    def add(self, subnet: bytes, change: int) -> None:
        """Add a change of the usage of a subnet."""
        self.total += change
        by_subnet = self.by_subnet
        by_subnet[subnet] = usage = by_subnet.get(subnet, 0) + change
        if not usage:
            del by_subnet[subnet]
        else:
            for ranking in self._rankings.values():
                ranking.change(subnet, usage)

    def check_fair_share(
        self, params: Params, subnet: bytes, change: int, replaced: list[tuple[bytes, int]]
    ) -> None:
        """Check that a new value leaves its subnet within the fair share of a full store.

        ``change`` is the usage of the new value; ``replaced`` has the subnets and usages of those
        that it replaces.

        Raises:
            StoreRefused: it would be above.
        """
        count = len(self.by_subnet) + (subnet not in self.by_subnet)
        total, usage = self.total + change, self.by_subnet.get(subnet, 0) + change
        for each, replaced_usage in replaced:
            total -= replaced_usage
            if each == subnet:
                usage -= replaced_usage
        has_too_many, has_too_much = _excess(params, total)
        if has_too_many and (usage >> _BYTE_BITS) * count > params.max_entries:
            raise StoreRefused("no room for more values")
        if has_too_much and (usage & _BYTES_MASK) * count > params.max_stored_bytes:
            raise StoreRefused("no room for more bytes")

    def yielding_subnet(self, params: Params, change: int) -> bytes | None:
        """Return the subnet that has to yield before a change; None if there is room.

        It is the one with the most values or bytes, whichever are too many. Since the change
        passed ``check_fair_share``, this subnet is above its share.
        """
        has_too_many, has_too_much = _excess(params, self.total + change)
        if has_too_many:
            return self._largest(-1)
        return self._largest(_BYTES_MASK) if has_too_much else None

    def _largest(self, mask: int) -> bytes:
        ranking = self._rankings.get(mask)
        if ranking is None:
            ranking = self._rankings[mask] = SubnetRanking(self.by_subnet, mask)
        return ranking.first()


def _excess(params: Params, total: int) -> tuple[bool, bool]:
    """Return whether a usage has too many values, and too many bytes."""
    return total >> _BYTE_BITS > params.max_entries, total & _BYTES_MASK > params.max_stored_bytes
