"""DiskQuotas: checks that a store on disk has room for a value."""

from __future__ import annotations

from collections.abc import Mapping

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.quotas import (
    check_quotas,
    is_limited_by_key,
    quota_key,
    subnet_key,
    usage_of,
)
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import ValueRow, charged_address
from kademlua.storage.subnet_index import SubnetIndex
from kademlua.storage.totals import StoreTotals


class DiskQuotas:
    """The quotas of ``MemoryStore``, for the rows on disk."""

    def __init__(
        self, params: Params, write_buffer: WriteBuffer, totals: StoreTotals, subnets: SubnetIndex
    ) -> None:
        self._params = params
        self._write_buffer = write_buffer
        self._totals = totals
        self._subnets = subnets

    def check(
        self, key: bytes, sender: Contact, size: int, replaced: Mapping[bytes, ValueRow]
    ) -> bool:
        """Check a new value, which replaces some rows.

        Return whether a subnet has to yield to it; see ``check_quotas``.

        Raises:
            StoreRefused: a quota is reached.
        """
        params, address = self._params, quota_key(sender)
        total, address_usage = self._totals.usage.total, self._totals.usage_at(address)
        gone = []
        for row_key, value_row in replaced.items():
            usage = usage_of(len(value_row.encoded))
            former_address = charged_address(row_key, value_row)
            gone.append((subnet_key(former_address), usage))
            total -= usage
            address_usage -= usage if former_address == address else 0
        key_entries, subnet_entries = self._write_buffer.count_prefix(key) - len(replaced), 0
        if key_entries >= params.subnet_limit_key and is_limited_by_key(params, sender):
            found = self._subnets.of_key(sender.diversity_prefix, key)
            subnet_entries = sum(row_key not in replaced for row_key in found)
        is_full = check_quotas(params, size, total, address_usage, key_entries, subnet_entries)
        if is_full:
            subnet = subnet_key(address)
            self._totals.usage.check_fair_share(params, subnet, usage_of(size), gone)
        return is_full

    def yielding_row(self, usage: int) -> bytes | None:
        """Return the key of the row that has to yield to a value with this usage, if any has to."""
        subnet = self._totals.usage.yielding_subnet(self._params, usage)
        while subnet is not None:
            row_key = self._subnets.first(subnet)
            if row_key is not None:
                return row_key
            self._totals.repair()
            subnet = self._totals.usage.yielding_subnet(self._params, usage)
        return None
