"""MemoryUsage: what the senders of the values in memory are charged, and whose values yield."""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.quotas import (
    EMPTY_USAGE,
    StoreUsage,
    check_quotas,
    is_limited_by_key,
    quota_key,
    subnet_key,
)
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.yielding_rows import YieldingRows


class MemoryUsage:
    """The usage of a ``MemoryStore`` in total, by address and by subnet.

    A row is a value's key and its owner, packed.
    """

    __slots__ = ("_params", "_rows_by_subnet", "by_address", "in_total")

    def __init__(self, params: Params) -> None:
        self._params = params
        self.in_total = StoreUsage()
        self.by_address: dict[bytes, int] = {}
        """In ``ENTRY_UNIT`` and charged bytes."""
        self._rows_by_subnet: dict[bytes, YieldingRows] = {}

    def add(self, address: bytes, size: int, row: bytes) -> None:
        """Charge an address for a new value of ``size`` bytes."""
        subnet, usage = subnet_key(address), EMPTY_USAGE + size
        self.by_address[address] = self.by_address.get(address, 0) + usage
        self.in_total.add(subnet, usage)
        rows = self._rows_by_subnet.get(subnet)
        if rows is None:
            rows = self._rows_by_subnet[subnet] = YieldingRows()
        rows.add(row)

    def change(self, address: bytes, size_change: int) -> None:
        """Charge an address for other bytes of a value."""
        self.by_address[address] += size_change
        self.in_total.add(subnet_key(address), size_change)

    def remove(self, address: bytes, size: int, row: bytes) -> None:
        """Charge an address no longer for a value of ``size`` bytes."""
        subnet, usage = subnet_key(address), EMPTY_USAGE + size
        self.by_address[address] -= usage
        if not self.by_address[address]:
            del self.by_address[address]
        self.in_total.add(subnet, -usage)
        if subnet in self.in_total.by_subnet:
            self._rows_by_subnet[subnet].discard(row)
        else:
            del self._rows_by_subnet[subnet]

    def check(
        self,
        sender: Contact,
        size: int,
        owners: dict[Contact, StoreEntry],
        replaced: dict[Contact, StoreEntry],
    ) -> bool:
        """Return whether a subnet has to yield to a new value; see ``check_quotas``.

        ``owners`` has the values of its key, and ``replaced`` those that it replaces.

        Raises:
            StoreRefused: a quota is reached.
        """
        params, address = self._params, quota_key(sender)
        total, address_usage = self.in_total.total, self.by_address.get(address, 0)
        gone = []
        for each, entry in replaced.items():
            usage = EMPTY_USAGE + len(entry.encoded)
            former_address = quota_key(entry.sender or each)
            gone.append((subnet_key(former_address), usage))
            total -= usage
            address_usage -= usage if former_address == address else 0
        key_entries, subnet_entries = len(owners) - len(replaced), 0
        if key_entries >= params.subnet_limit_key and is_limited_by_key(params, sender):
            subnet, compact_bytes = subnet_key(address), len(sender.compact)
            packed = [(entry.sender or each).compact for each, entry in owners.items()]
            subnet_entries = sum(
                each.startswith(subnet, ID_BYTES) and len(each) == compact_bytes for each in packed
            ) - sum(each == subnet for each, _ in gone)
        is_full = check_quotas(params, size, total, address_usage, key_entries, subnet_entries)
        if is_full:
            self.in_total.check_fair_share(params, subnet_key(address), EMPTY_USAGE + size, gone)
        return is_full

    def yielding_row(self, size: int) -> bytes | None:
        """Return the row of the value that has to yield to one of ``size`` bytes, if any has to."""
        subnet = self.in_total.yielding_subnet(self._params, EMPTY_USAGE + size)
        return None if subnet is None else self._rows_by_subnet[subnet].first
