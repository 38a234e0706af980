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

    def add(self, contact: Contact) -> None:
        """Count a contact that entered the table."""
        if self._limits.applies_to(contact):
            prefix = contact.diversity_prefix
            self._counts[prefix] = self._counts.get(prefix, 0) + 1

    def remove(self, contact: Contact) -> None:
        """Count a contact that left the table."""
        if self._limits.applies_to(contact):
            prefix = contact.diversity_prefix
            remaining = self._counts[prefix] - 1
            if remaining:
                self._counts[prefix] = remaining
            else:
                del self._counts[prefix]

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
        in_table = self._counts.get(prefix, 0)
        if in_table < min(limits.per_bucket, limits.per_table):
            return False
        if in_table >= limits.per_table:
            return True
        in_bucket = sum(each.diversity_prefix == prefix for each in bucket.contacts.values())
        return in_bucket >= limits.per_bucket

    def find_yielding(self, newcomer: Contact, bucket: KBucket) -> Contact | None:
        """Return the contact of a full bucket that yields to ``newcomer``; None if none does.

        It is the first one of the subnet that has the most contacts beyond the limit of a bucket.
        If ``newcomer`` is not crowded, a subnet with more contacts than the limit of the table
        yields, too.
        """
        if not bucket.is_crowded:
            return None
        contacts = [each for each in bucket.contacts.values() if self._limits.applies_to(each)]
        yielding = self._first_of_crowded(newcomer, contacts)
        if yielding is None and not self.is_full(newcomer, bucket):
            counts, per_table = self._counts, self._limits.per_table
            over_table = (each for each in contacts if counts[each.diversity_prefix] > per_table)
            yielding = next(over_table, None)
        if yielding is not None:
            self.has_refused = True
        return yielding

    def _first_of_crowded(self, newcomer: Contact, contacts: list[Contact]) -> Contact | None:
        """Return the first contact of the most crowded subnet, if ``newcomer`` is of another one
        that would still be less crowded."""
        crowded = self.find_surplus(contacts)
        if crowded is None or not self._limits.applies_to(newcomer):
            return crowded
        count, own_count = (
            sum(each.diversity_prefix == prefix for each in contacts)
            for prefix in (crowded.diversity_prefix, newcomer.diversity_prefix)
        )
        return crowded if own_count + 1 < count else None

    def find_surplus(self, contacts: Iterable[Contact]) -> Contact | None:
        """Return the first contact of the most crowded subnet; None if no subnet is crowded."""
        limited = [each for each in contacts if self._limits.applies_to(each)]
        in_each = Counter(each.diversity_prefix for each in limited).most_common(1)
        if not in_each or in_each[0][1] <= self._limits.per_bucket:
            return None
        return next(each for each in limited if each.diversity_prefix == in_each[0][0])
