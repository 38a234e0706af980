"""DiskQuotas: makes room for a value in a store on disk."""

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
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import ValueRow, charged_address
from kademlua.storage.subnet_index import SubnetIndex
from kademlua.storage.totals import StoreTotals
from kademlua.storage.value_rows import ValueRows


class DiskQuotas:
    """The quotas of ``MemoryStore``, for the rows on disk."""

    def __init__(
        self,
        params: Params,
        rows: ValueRows,
        recency: RecencyIndex,
        subnets: SubnetIndex,
        totals: StoreTotals,
    ) -> None:
        self._params = params
        self._rows = rows
        self._recency = recency
        self._subnets = subnets
        self._totals = totals
        self.evicted_count = 0
        """The number of values that yielded to those of other subnets."""

    def make_room(
        self, key: bytes, sender: Contact, size: int, replaced: Mapping[bytes, ValueRow]
    ) -> None:
        """Remove what a new value replaces and what yields to it.

        Raises:
            StoreRefused: a quota is reached.
        """
        is_full = self._check(key, sender, size, replaced)
        if not replaced and not is_full:  # the usual case
            return
        for row_key, value_row in replaced.items():
            self._rows.remove(row_key, value_row)
        while is_full and (yielding_key := self._yielding_row_key(usage_of(size))):
            yielding = self._rows.get(yielding_key)
            if yielding is None:
                self._totals.repair()
            else:
                self._rows.remove(yielding_key, yielding)
                self.evicted_count += 1

    def _check(
        self, key: bytes, sender: Contact, size: int, replaced: Mapping[bytes, ValueRow]
    ) -> bool:
        """Return whether a subnet has to yield to a new value; see ``check_quotas``."""
        params, address = self._params, quota_key(sender)
        total, address_usage = self._totals.usage.total, self._totals.usage_at(address)
        gone = []
        for row_key, value_row in replaced.items():
            usage = usage_of(len(value_row.encoded))
            former_address = charged_address(row_key, value_row)
            gone.append((subnet_key(former_address), usage))
            total -= usage
            address_usage -= usage if former_address == address else 0
        key_entries, subnet_entries = self._recency.count(key) - len(replaced), 0
        if key_entries >= params.subnet_limit_key and is_limited_by_key(params, sender):
            found = self._subnets.of_key(sender.diversity_prefix, key)
            subnet_entries = sum(row_key not in replaced for row_key in found)
        is_full = check_quotas(params, size, total, address_usage, key_entries, subnet_entries)
        if is_full:
            subnet = subnet_key(address)
            self._totals.usage.check_fair_share(params, subnet, usage_of(size), gone)
        return is_full

    def _yielding_row_key(self, usage: int) -> bytes | None:
        """Return the key of the row that has to yield to a value with this usage, if any has to."""
        subnet = self._totals.usage.yielding_subnet(self._params, usage)
        while subnet is not None:
            row_key = self._subnets.first(subnet)
            if row_key is not None:
                return row_key
            self._totals.repair()
            subnet = self._totals.usage.yielding_subnet(self._params, usage)
        return None
