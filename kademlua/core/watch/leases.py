"""The leases that a holder has granted to watchers, within limits."""

from __future__ import annotations

from collections import Counter
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.security.subnets import subnet_of

MAX_LEASE_SECONDS: Final = 300
MIN_LEASE_SECONDS: Final = 10
MAX_LEASES: Final = 10_000
MAX_PER_KEY: Final = 64
"""Leases of a key. When there are as many, the source with the most yields to one with fewer."""
MAX_PER_SOURCE: Final = 256
"""Leases of one subnet; a private address is a source of its own, with its port."""
_FREE_SHARE: Final = 32
"""A source with a lease gets no other one if it has this part of those that are free. So a few
sources leave room for others."""


class Lease:
    """One watcher's lease of one key."""

    __slots__ = (
        "expires_at",
        "has_new_changes",
        "is_notifying",
        "known_digest",
        "secret",
        "watcher",
    )

    def __init__(self, watcher: Contact, expires_at: float) -> None:
        self.watcher = watcher
        self.expires_at = expires_at
        self.known_digest = b""
        """The digest of what the watcher knows."""
        self.secret = b""
        """What the watcher expects in notifications."""
        self.is_notifying = False
        """Whether a notification is in flight."""
        self.has_new_changes = False
        """Whether there were changes since that was sent."""


class LeaseTable:
    """All leases of one node. Those that have ended count until ``expire`` or ``of`` drops them."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[Contact, Lease]] = {}
        self._per_source: Counter[object] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        """Return whether anyone watches a key, perhaps with a lease that has just ended."""
        return key in self._by_key

    def keys(self) -> list[bytes]:
        """Return the watched keys."""
        return list(self._by_key)

    def find(self, key: bytes, watcher: Contact) -> Lease | None:
        """Return a watcher's lease of a key; None if there is none."""
        return self._by_key.get(key, {}).get(watcher)

    def of(self, key: bytes, now: float) -> list[Lease]:
        """Return the leases of a key that have not ended; drop the others."""
        leases = self._by_key.get(key, {})
        for lease in [each for each in leases.values() if each.expires_at <= now]:
            self.end(key, lease.watcher)
        return list(leases.values())

    def grant(self, key: bytes, watcher: Contact, seconds: int, now: float) -> Lease | None:
        """Grant or renew a lease of ``MIN_LEASE_SECONDS`` to ``MAX_LEASE_SECONDS``; return None if
        there are too many."""
        expires_at = now + min(max(seconds, MIN_LEASE_SECONDS), MAX_LEASE_SECONDS)
        lease = self.find(key, watcher)
        if lease is not None:
            lease.expires_at = expires_at
            return lease
        source = _source_of(watcher)
        free = MAX_LEASES - self._count
        if (
            not free
            or self._per_source[source] >= min(MAX_PER_SOURCE, 1 + free // _FREE_SHARE)
            or (len(self.of(key, now)) >= MAX_PER_KEY and not self._make_room(key, source))
        ):
            return None
        self._count += 1
        self._per_source[source] += 1
        lease = Lease(watcher, expires_at)
        self._by_key.setdefault(key, {})[watcher] = lease
        return lease

    def _make_room(self, key: bytes, source: object) -> bool:
        """End a lease of the source with the most leases of a key; return False if ``source`` would
        have as many then."""
        leases = self._by_key[key]
        counts = Counter(_source_of(each) for each in leases)
        [(largest, count)] = counts.most_common(1)
        if count < counts[source] + 2:
            return False
        self.end(key, next(each for each in leases if _source_of(each) == largest))
        return True

    def end(self, key: bytes, watcher: Contact) -> bool:
        """End a lease, and return whether there was one."""
        leases = self._by_key.get(key, {})
        if leases.pop(watcher, None) is None:
            return False
        if not leases:
            del self._by_key[key]
        self._count -= 1
        source = _source_of(watcher)
        self._per_source[source] -= 1
        if not self._per_source[source]:
            del self._per_source[source]
        return True

    def expire(self, now: float) -> None:
        """Drop all leases that have ended."""
        for key in self.keys():
            self.of(key, now)


def _source_of(watcher: Contact) -> object:
    return watcher.endpoint if watcher.is_private else subnet_of(watcher.endpoint[0])
