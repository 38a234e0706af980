"""The routing table: k-buckets by distance, exact closest contacts, replacement caches.

It holds contacts that replied, and decides which ones stay. It sends nothing: it returns the
contacts that its owner should probe (Maymounkov and Mazières 2002, sections 2.2 to 2.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.ids import ID_BITS, to_int
from kademlua.core.routing.bucket import KBucket, TableEntry
from kademlua.core.routing.changes import ChangeCallback, TableChanges
from kademlua.core.routing.diversity import UNLIMITED, DiversityLimits, IdDensity
from kademlua.core.routing.selection import (
    NEAR_BUCKETS,
    buckets_by_distance,
    longest_silent,
    slower_entry,
    stale_contacts,
)
from kademlua.core.routing.subnet_counts import SubnetCounts


class RoutingTable:
    """The contacts of one node.

    A bucket's index is the number of leading bits that its contacts share with the own id. Only the
    last bucket, which holds the own id, splits. ``limits`` bounds the contacts of one subnet:
    crowded ones yield to others when their bucket is full. ``density`` bounds those with ids close
    together, once the size of the network is known.
    """

    __slots__ = (
        "_by_endpoint", "_changes", "_k", "_local_int", "buckets", "density", "local_id", "subnets",
    )  # fmt: skip

    def __init__(
        self,
        local_id: bytes,
        k: int,
        now: float,
        limits: DiversityLimits = UNLIMITED,
        on_change: ChangeCallback = lambda contact, *, is_added: None,
    ) -> None:
        self.local_id = local_id
        self._local_int = to_int(local_id)
        self._k = k
        self._by_endpoint: dict[Endpoint, TableEntry] = {}
        self.buckets = [KBucket(now)]
        self.subnets = SubnetCounts(limits)
        self.density: IdDensity | None = None
        self._changes = TableChanges(on_change)

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def __iter__(self) -> Iterator[Contact]:
        return (entry.contact for entry in self._by_endpoint.values())

    def __contains__(self, contact: Contact) -> bool:
        return self.get_contact(contact) is not None

    def get(self, node_id: bytes) -> TableEntry | None:
        """Return the entry of an id, after a search in its bucket; None if there is none."""
        for contact in self.buckets[self.bucket_index(to_int(node_id))].contacts:
            if contact.id == node_id:
                return self._by_endpoint[contact.endpoint]
        return None

    def get_contact(self, contact: Contact) -> TableEntry | None:
        """Return the entry of an id at the same endpoint; None if it is not in the table."""
        entry = self._by_endpoint.get(contact.endpoint)
        return None if entry is None or entry.contact.id != contact.id else entry

    def get_by_endpoint(self, endpoint: Endpoint) -> TableEntry | None:
        """Return the entry at an endpoint; None if it is not in the table."""
        return self._by_endpoint.get(endpoint)

    def bucket_index(self, id_int: int) -> int:
        """Return the index of the bucket for an id."""
        shared = ID_BITS - (id_int ^ self._local_int).bit_length()
        last = len(self.buckets) - 1
        return shared if shared < last else last  # ``min`` takes longer

    def touch(self, node_id: bytes, endpoint: Endpoint, now: float) -> TableEntry | None:
        """Record a packet of a contact, and return its entry; None if it is not in the table."""
        entry = self._by_endpoint.get(endpoint)
        if entry is None or entry.contact.id != node_id:
            return None
        entry.last_seen = now
        return entry

    def has_space_for(self, node_id: bytes) -> bool:
        """Return whether a contact with this id could enter after replying to a probe."""
        if node_id == self.local_id or self.get(node_id) is not None:
            return False
        index = self.bucket_index(id_int := to_int(node_id))
        has_space = self.has_space_in(index) or self.buckets[index].is_crowded
        return has_space and not self._is_dense(id_int)

    def is_wanted(self, node_id: bytes, min_contacts: int) -> bool:
        """Return whether a contact with this id is worth a probe.

        It must be able to enter, and be among the neighbours, in a bucket of fewer than
        ``min_contacts``, or in a full one with crowded contacts.
        """
        if not self.has_space_for(node_id):
            return False
        index = self.bucket_index(to_int(node_id))
        if len(self.buckets[index].contacts) < min_contacts or not self.has_space_in(index):
            return True
        # A contact with fewer than k closer ones is a neighbour.
        return sum(len(bucket.contacts) for bucket in self.buckets[index + 1 :]) < self._k

    def has_space_in(self, index: int) -> bool:
        """Return whether a bucket has space, or can make it by splitting."""
        return index == len(self.buckets) - 1 or len(self.buckets[index].contacts) < self._k

    def can_admit(self, contact: Contact) -> bool:
        """Return whether a contact's id, subnet and density allow it in the table."""
        bucket = self.buckets[index := self.bucket_index(contact.id_int)]
        if not self.has_space_in(index) and not self.subnets.find_yielding(contact, bucket):
            return False
        return self._is_acceptable(contact)

    def _is_acceptable(self, contact: Contact) -> bool:
        """Return whether a contact's id fits its address and is not too close to others."""
        return self.subnets.accepts_id(contact) and not self._is_dense(contact.id_int)

    def _is_dense(self, id_int: int) -> bool:
        if (density := self.density) is None:
            return False
        index = self.bucket_index(id_int)
        # Ids next to it are in the same bucket, except around the own id.
        is_near = id_int ^ self._local_int < 2 * density.expected_gap
        nearby = self.buckets[index:] if is_near else [self.buckets[index]]
        return density.is_dense(id_int, [bucket.contacts for bucket in nearby])

    def on_reply(self, contact: Contact, now: float, rtt: float = math.inf) -> Contact | None:
        """Record a reply of ``contact`` after ``rtt`` seconds; it may then enter the table.

        If its id or endpoint is taken, or its bucket is full, it goes to the replacement cache. The
        contact in its way is returned, as a candidate for a probe. With a shorter round trip than
        younger contacts of a full bucket, it replaces one of them.
        """
        entry = self.touch(contact.id, contact.endpoint, now)
        if entry is not None:
            entry.last_replied = now
            return None
        if contact.id == self.local_id:
            return None
        same_id = self.get(contact.id)
        if same_id is not None:  # the same id at another address: the first one stays
            bucket = self.buckets[self.bucket_index(contact.id_int)]
            bucket.add_replacement(contact, self._k, self.subnets.find_surplus)
            return same_id.contact
        replaced = self._by_endpoint.get(contact.endpoint)
        if replaced is None:
            return self._try_insert(contact, now, rtt)
        self._delete(replaced)  # the endpoint has just replied with another id
        blocking = self._try_insert(contact, now, rtt)
        bucket = self.buckets[self.bucket_index(replaced.contact.id_int)]
        if len(bucket.contacts) < self._k:
            self._promote(bucket, replaced.last_seen, exclude=contact.endpoint)
        return blocking

    def _try_insert(self, contact: Contact, now: float, rtt: float) -> Contact | None:
        if not self._is_acceptable(contact):
            return None
        while True:
            index = self.bucket_index(contact.id_int)
            bucket = self.buckets[index]
            if len(bucket.contacts) < self._k:
                self._insert(bucket, TableEntry(contact, now))
                return None
            if index < len(self.buckets) - 1 or len(self.buckets) == ID_BITS:
                break
            self._split()
        entries = [self._by_endpoint[each.endpoint] for each in bucket.contacts]  # the oldest first
        yielding: TableEntry | None = None
        if subnets := self.subnets.find_yielding(contact, bucket):
            crowded = [each for each in entries if self.subnets.is_in(each.contact, subnets)]
            yielding = longest_silent(crowded)
        elif index < len(self.buckets) - NEAR_BUCKETS and not self.subnets.is_full(contact, bucket):
            yielding = slower_entry(entries, rtt)
        if yielding is None:
            bucket.add_replacement(contact, self._k, self.subnets.find_surplus)
            return longest_silent(entries).contact
        self._delete(yielding)
        self._insert(bucket, TableEntry(contact, now))
        bucket.add_replacement(yielding.contact, self._k, self.subnets.find_surplus)
        return None

    def _insert(self, bucket: KBucket, entry: TableEntry) -> None:
        contact = entry.contact
        self.subnets.add(contact, bucket)
        bucket.add(contact)
        bucket.replacements.pop(contact.id_int, None)
        self._by_endpoint[contact.endpoint] = entry
        self._changes.on_entered(contact)

    def drain_changes(self) -> tuple[dict[int, Contact], dict[int, Contact]]:
        """Return the contacts that entered and that left since the last call, by id."""
        return self._changes.drain()

    def remove_departed(self, contact: Contact) -> Contact | None:
        """Remove a contact that handed over its values.

        ``drain_changes`` does not report it, so nothing is replicated because of it.
        """
        promoted = self.remove(contact)
        self._changes.forget_removed(contact)
        return promoted

    def _split(self) -> None:
        """Split the last bucket: contacts that share one more bit move to a new one."""
        last = self.buckets[-1]
        new = last.split(self._local_int, 1 << (ID_BITS - len(self.buckets)))
        self.buckets.append(new)
        self.subnets.recount(last, new)

    def remove(self, contact: Contact, now: float | None = None) -> Contact | None:
        """Remove a dead contact, and return the promoted replacement; None if there is none.

        With ``now``, the replacement enters as if seen then.
        """
        bucket = self.buckets[self.bucket_index(contact.id_int)]
        if bucket.replacements.get(contact.id_int) == contact:
            del bucket.replacements[contact.id_int]
        if (entry := self.get_contact(contact)) is None:
            return None
        self._delete(entry)
        return self._promote(bucket, entry.last_seen if now is None else now)

    def _delete(self, entry: TableEntry) -> None:
        contact = entry.contact
        del self._by_endpoint[contact.endpoint]
        bucket = self.buckets[self.bucket_index(contact.id_int)]
        bucket.contacts.remove(contact)
        self.subnets.remove(contact, bucket)
        self._changes.on_left(contact)

    def _promote(
        self, bucket: KBucket, last_seen: float, exclude: Endpoint | None = None
    ) -> Contact | None:
        """Move the most recent usable replacement into the bucket, and return it.

        Its id and endpoint must be free. Crowded ones come last. ``exclude`` is an endpoint that
        just reported another id.
        """

        def is_usable(contact: Contact) -> bool:
            is_free = contact.endpoint not in self._by_endpoint and self.get(contact.id) is None
            return is_free and contact.endpoint != exclude and self._is_acceptable(contact)

        promoted = bucket.pop_replacement(
            is_usable, is_crowded=lambda each: self.subnets.is_full(each, bucket)
        )
        if promoted is not None:
            entry = TableEntry(promoted, last_seen)
            entry.last_replied = -math.inf  # the time of its reply is not known
            self._insert(bucket, entry)
        return promoted

    def closest(
        self, target: bytes, count: int, exclude: bytes = b"", *, is_sorted: bool = True
    ) -> list[Contact]:
        """Return exactly the ``count`` contacts closest to ``target``, nearest first.

        ``exclude`` is an id to leave out, such as the caller's. Without ``is_sorted`` they come in
        any order, mostly without sorting.
        """
        target_int = to_int(target)
        excluded_index = self.bucket_index(to_int(exclude)) if exclude else -1
        found: list[Contact] = []
        for bucket in buckets_by_distance(self.buckets, target_int ^ self._local_int):
            group = bucket.contacts.copy()
            if exclude and bucket is self.buckets[excluded_index]:
                group = [each for each in group if each.id != exclude]
            missing = count - len(found)
            if is_sorted or len(group) > missing:
                bucket.sort_by_distance(group, target_int)
                del group[missing:]
            found += group
            if len(found) == count:
                break
        return found

    def stale(self, before: float, count: int, slack: float = 0.0) -> list[Contact]:
        """Return contacts not seen since ``before``; see ``stale_contacts``."""
        return stale_contacts(self._by_endpoint.values(), before, count, slack)

    def mark_refreshed(self, target: bytes, now: float) -> None:
        """Record a lookup of ``target``, so that its bucket needs no refresh for a while."""
        self.buckets[self.bucket_index(to_int(target))].refreshed_at = now
