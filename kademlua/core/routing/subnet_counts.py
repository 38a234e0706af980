"""SubnetCounts: the contacts of a routing table by subnet, and which of them are crowded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from kademlua.core.contact import Contact
from kademlua.core.routing.bucket import KBucket
from kademlua.core.routing.diversity import DiversityLimits


class SubnetCounts:
    """The contacts in each subnet of one table, with the limits for them."""

    __slots__ = ("_counts", "_limits", "has_refused")

    def __init__(self, limits: DiversityLimits) -> None:
        self._limits = limits
        self._counts: dict[bytes, int] = {}
        self.has_refused = False
        """Whether a limit kept a contact out of the table."""

    def add(self, contact: Contact, bucket: KBucket) -> None:
        """Count a contact that enters a bucket."""
        if self._limits.applies_to(contact):
            bucket.is_crowded = bucket.is_crowded or self.is_full(contact, bucket)
            for counts in (self._counts, bucket.subnets):
                counts[contact.diversity_prefix] = counts.get(contact.diversity_prefix, 0) + 1

    def remove(self, contact: Contact, bucket: KBucket) -> None:
        """Count a contact that leaves a bucket."""
        if self._limits.applies_to(contact):
            prefix = contact.diversity_prefix
            for counts in (self._counts, bucket.subnets):
                counts[prefix] -= 1
                if not counts[prefix]:
                    del counts[prefix]

    def recount(self, split: KBucket, new: KBucket) -> None:
        """Count the contacts of a bucket that was split, and those that moved to the new one."""
        if split.subnets:
            for bucket in (split, new):
                limited = filter(self._limits.applies_to, bucket.contacts)
                bucket.subnets = dict(Counter(each.diversity_prefix for each in limited))

    @property
    def has_crowded(self) -> bool:
        """Whether a subnet has more contacts than ``subnet_limit_bucket``."""
        return max(self._counts.values(), default=0) > self._limits.per_bucket

    def accepts_id(self, contact: Contact) -> bool:
        """Return whether a contact's id is allowed for its address."""
        if self._limits.has_valid_id(contact):
            return True
        self.has_refused = True
        return False

    def is_full(self, contact: Contact, bucket: KBucket) -> bool:
        """Return whether the table or the bucket has the most contacts of a contact's subnet.

        One more would be crowded.
        """
        limits = self._limits
        if not limits.applies_to(contact):
            return False
        prefix = contact.diversity_prefix
        return (
            self._counts.get(prefix, 0) >= limits.per_table
            or bucket.subnets.get(prefix, 0) >= limits.per_bucket
        )

    def find_yielding(self, newcomer: Contact, bucket: KBucket) -> set[bytes]:
        """Return the subnets of a full bucket whose contacts yield to ``newcomer``.

        It is the subnet that has the most contacts beyond the limit of a bucket. If ``newcomer`` is
        not crowded, subnets with more contacts than the limit of the table yield, too.
        """
        if not bucket.is_crowded or not bucket.subnets:
            return set()
        limits, own_count = self._limits, 0
        if limits.applies_to(newcomer):
            own_count = bucket.subnets.get(newcomer.diversity_prefix, 0) + 1
        largest = max(bucket.subnets, key=bucket.subnets.__getitem__)
        yielding: set[bytes] = set()
        if bucket.subnets[largest] > max(limits.per_bucket, own_count):
            yielding = {largest}
        elif not self.is_full(newcomer, bucket):
            yielding = {each for each in bucket.subnets if self._counts[each] > limits.per_table}
        self.has_refused = self.has_refused or bool(yielding)
        return yielding

    def is_in(self, contact: Contact, subnets: set[bytes]) -> bool:
        """Return whether a contact is in one of these subnets, and its subnet is limited."""
        return contact.diversity_prefix in subnets and self._limits.applies_to(contact)

    def find_surplus(self, contacts: Iterable[Contact]) -> Contact | None:
        """Return the first contact of the most crowded subnet; None if no subnet is crowded."""
        limited = [each for each in contacts if self._limits.applies_to(each)]
        if not limited:  # the usual case in a network of private addresses
            return None
        in_each = Counter(each.diversity_prefix for each in limited).most_common(1)
        if in_each[0][1] <= self._limits.per_bucket:
            return None
        return next(each for each in limited if each.diversity_prefix == in_each[0][0])
