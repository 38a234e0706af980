"""Routing tables and contacts for tests."""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.routing.bucket import KBucket
from kademlua.core.routing.table import RoutingTable
from tests.core.strategies import make_contact

TOP = 1 << 159
OWN = from_int(0)


def held(table: RoutingTable, bucket: KBucket) -> list[Contact]:
    """Return the contacts of a bucket, least recently seen first."""
    entries = [table.get(each.id) for each in bucket.contacts]
    return [entry.contact for entry in sorted(filter(None, entries), key=lambda e: e.last_seen)]


def waiting(bucket: KBucket) -> list[Contact]:
    """Return the replacement cache of a bucket, best last."""
    return list(bucket.replacements.values())


def closest_of(contacts: list[Contact], target: int, count: int) -> list[Contact]:
    return sorted(contacts, key=lambda contact: contact.id_int ^ target)[:count]


def far(number: int) -> Contact:
    """Return a contact for the first bucket: its first bit differs from OWN."""
    return make_contact(TOP + number)


def table_with(contacts: list[Contact], k: int = 3) -> RoutingTable:
    table = RoutingTable(OWN, k, 0.0)
    for now, contact in enumerate(contacts):
        table.on_reply(contact, float(now))
    return table


def full_table(k: int = 3) -> RoutingTable:
    """Return a table with a full first bucket and a second bucket."""
    return table_with([far(number) for number in range(k)] + [make_contact(1)], k)
