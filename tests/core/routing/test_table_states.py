"""Routing table: invariants that hold after any sequence of operations."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits
from kademlua.core.routing.table import RoutingTable
from tests.core.routing.tables import (
    closest_of,
    held,
    waiting,
)

CROWDS = DiversityLimits.from_params(Params(subnet_limit_table=5))


class TableMachine(RuleBasedStateMachine):
    """Any sequence of operations, on few ids and few addresses, so that they collide."""

    @initialize(own=st.integers(0, (1 << 160) - 1), k=st.integers(1, 3))
    def begin(self, own: int, k: int) -> None:
        self.k = k
        self.own = own
        self.now = 0.0
        self.table = RoutingTable(from_int(own), k, 0.0)
        self.seen: dict[Contact, float] = {}
        """When each contact was last heard from or came in."""

    def contact(self, bit: int, low: int, port: int) -> Contact:
        offset = (1 << bit) ^ (low if bit > 1 else 0)
        return Contact("127.0.0.1", port, from_int(self.own ^ offset))

    def note_entries(self, before: set[Contact]) -> None:
        for contact in set(self.table) - before:
            entry = self.table.get(contact.id)
            assert entry is not None
            assert entry.last_seen <= self.now
            self.seen[contact] = entry.last_seen  # a replacement may have been seen before

    contacts = (st.sampled_from([159, 158, 1]), st.integers(0, 3), st.integers(1, 6))

    @rule(bit=contacts[0], low=contacts[1], port=contacts[2])
    def answered(self, bit: int, low: int, port: int) -> None:
        table, contact = self.table, self.contact(bit, low, port)
        before = set(table)
        holder = table.get(contact.id)
        twin = holder.contact if holder is not None and holder.contact != contact else None
        had_room = table.has_space_for(contact.id)
        self.now += 1
        in_the_way = table.on_reply(contact, self.now)
        after = set(table)
        self.note_entries(before)
        if contact in before:
            self.seen[contact] = self.now
            assert after == before
        if twin is not None:
            assert (in_the_way, after) == (twin, before)
        elif contact in after:
            assert in_the_way is None
            assert contact in before or had_room or any(c.endpoint[1] == port for c in before)
        else:
            bucket = table.buckets[table.bucket_index(contact.id_int)]
            assert len(held(table, bucket)) == self.k
            assert held(table, bucket)[0] == in_the_way
            assert waiting(bucket)[-1] == contact
        if twin is None:
            # An endpoint has the id that it said last.
            assert not any(c.endpoint == contact.endpoint for c in after - {contact})
        # Who was in stays in, but for a former id of the endpoint.
        assert all(c in after or c.endpoint == contact.endpoint for c in before)

    @rule(bit=contacts[0], low=contacts[1], port=contacts[2])
    def heard(self, bit: int, low: int, port: int) -> None:
        contact = self.contact(bit, low, port)
        before = list(self.table)
        self.now += 1
        peer = self.table.touch(contact.id, contact.endpoint, self.now)
        assert (peer is not None) == (contact in before)
        assert list(self.table) == before
        if contact in before:
            self.seen[contact] = self.now

    @rule(bit=contacts[0], low=contacts[1], port=contacts[2])
    def removed(self, bit: int, low: int, port: int) -> None:
        table, contact = self.table, self.contact(bit, low, port)
        before = set(table)
        self.remove(contact)
        assert contact not in table
        if contact not in before:
            assert set(table) == before

    @rule(data=st.data())
    def somebody_died(self, data: st.DataObject) -> None:
        if len(self.table):
            self.remove(data.draw(st.sampled_from(list(self.table))))

    def remove(self, contact: Contact) -> None:
        table = self.table
        before = set(table)
        bucket = table.buckets[table.bucket_index(contact.id_int)]
        taken = {c.id for c in before - {contact}} | {c.endpoint for c in before - {contact}}
        able = [
            c
            for c in waiting(bucket)
            if c.id not in taken and c.endpoint not in taken and c != contact
        ]
        self.now += 1
        successor = table.remove(contact, self.now)
        self.note_entries(before)
        expected = able[-1] if contact in before and able else None
        assert successor == expected
        assert set(table) == (before - {contact}) | ({expected} if expected else set())

    @rule(bit=contacts[0], low=contacts[1], count=st.integers(1, 30))
    def closest(self, bit: int, low: int, count: int) -> None:
        target = self.own ^ (1 << bit) ^ low
        found = self.table.closest(from_int(target), count)
        assert found == closest_of(list(self.table), target, count)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "table"):
            return
        table = self.table
        inside = list(table)
        ids = {contact.id for contact in inside}
        assert len(inside) == len(table) == len(ids) == len({c.endpoint for c in inside})
        assert from_int(self.own) not in ids
        for contact in inside:
            peer = table.get(contact.id)
            assert contact in table
            assert peer is not None
            assert peer.contact == contact
        assert sorted(map(repr, inside)) == sorted(
            repr(contact) for bucket in table.buckets for contact in held(table, bucket)
        )
        for index, bucket in enumerate(table.buckets):
            assert len(held(table, bucket)) <= self.k
            assert len(waiting(bucket)) <= self.k
            assert held(table, bucket) == sorted(held(table, bucket), key=self.seen.__getitem__)
            for contact in held(table, bucket) + waiting(bucket):
                shared = 160 - (contact.id_int ^ self.own).bit_length()
                assert shared == index or (shared > index == len(table.buckets) - 1)
            for contact in waiting(bucket):
                assert contact not in table


class CrowdedMachine(RuleBasedStateMachine):
    """Contacts of few networks come and go in any order."""

    @initialize(own=st.integers(0, (1 << 160) - 1))
    def begin(self, own: int) -> None:
        self.own = own
        self.now = 0.0
        self.table = RoutingTable(from_int(own), 6, 0.0, CROWDS)

    @rule(
        bit=st.sampled_from([159, 158, 157, 156, 80]),
        network=st.integers(1, 4),
        host=st.integers(1, 200),
    )
    def answered(self, bit: int, network: int, host: int) -> None:
        number = self.own ^ (1 << bit) ^ (network << 8) ^ host
        contact = Contact(f"192.0.{network}.{host}", bit, from_int(number))
        self.now += 1
        table, before = self.table, list(self.table)
        is_last = table.bucket_index(contact.id_int) == len(table.buckets) - 1
        is_admitted = table.can_admit(contact)
        counts = self.counts(contact)
        table.on_reply(contact, self.now)
        after = set(table)
        if contact in before:
            assert after == set(before)
            return
        # A last bucket that is full may find no space by splitting.
        assert (contact in after) == is_admitted or (is_last and is_admitted)
        gone = [each for each in before if each not in after]
        assert len(gone) <= 1
        for each in gone:  # only a crowded contact yields, to one of a less crowded subnet
            in_bucket, in_table = counts[each.diversity_prefix]
            own_in_bucket, own_in_table = counts.get(contact.diversity_prefix, (0, 0))
            by_bucket = in_bucket > CROWDS.per_bucket and own_in_bucket + 1 < in_bucket
            by_table = in_table > CROWDS.per_table > own_in_table
            assert by_bucket or (by_table and own_in_bucket < CROWDS.per_bucket)

    def counts(self, contact: Contact) -> dict[bytes, tuple[int, int]]:
        """Return for each subnet its contacts in the contact's bucket and in the table."""
        bucket = held(self.table, self.table.buckets[self.table.bucket_index(contact.id_int)])
        return {
            prefix: (
                sum(each.diversity_prefix == prefix for each in bucket),
                sum(each.diversity_prefix == prefix for each in self.table),
            )
            for prefix in {each.diversity_prefix for each in self.table}
        }

    @rule(data=st.data())
    def somebody_died(self, data: st.DataObject) -> None:
        if len(self.table):
            self.now += 1
            self.table.remove(data.draw(st.sampled_from(list(self.table))), self.now)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "table"):
            return
        for index, bucket in enumerate(self.table.buckets):
            assert len(held(self.table, bucket)) <= 6
            assert len(waiting(bucket)) <= 6
            if self.table.has_space_in(index):
                number = self.own ^ (1 << (159 - index)) ^ 255
                assert self.table.can_admit(Contact("192.0.1.250", 9, from_int(number)))


TestCrowded = CrowdedMachine.TestCase
TestCrowded.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
