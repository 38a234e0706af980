"""The data store in memory: values by key and owner, bounded, with an end to each."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.store import ONE_ENTRY, Entry, address_of, check_bounds


class DataStore:
    """One value per owner and key, of any bencoded form.

    Bounded in entries and bytes, also per key, value and owner's address; a store over a
    bound is refused with the reason, and what is there stays.
    """

    is_durable = False

    def __init__(self, params: Params) -> None:
        self._params = params
        self._keys: dict[bytes, dict[Contact, Entry]] = {}
        self._entries = 0
        self._bytes = 0
        self._addresses: dict[bytes, int] = {}
        """Values and bytes by owner's address."""
        # (expires, tie-breaker, key, owner). What was replaced or dropped leaves its row
        # behind; `_compact` bounds them.
        self._ends: list[tuple[float, int, bytes, Contact]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._entries

    @property
    def stored_bytes(self) -> int:
        """Bytes of all values, bencoded."""
        return self._bytes

    def keys(self) -> Iterator[bytes]:
        """The keys under which something is stored, as they were when this was called."""
        return iter(list(self._keys))

    def entries(self, key: bytes) -> list[tuple[Contact, Entry]]:
        """All values of a key with their owners; those over, but not yet gone, too."""
        return list(self._keys.get(key, {}).items())

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Forget an owner's value; whether there was one."""
        if owner not in self._keys.get(key, {}):
            return False
        self._drop(key, owner)
        return True

    def kept(self, callback: Callable[[str | None], None]) -> None:
        """Call back at once: nothing here outlives the process."""
        callback(None)

    def put(
        self,
        key: bytes,
        owner: Contact,
        encoded: bytes,
        *,
        now: float,
        expires: float,
        overwrite: bool = False,
        is_direct: bool = True,
    ) -> None:
        """Keep a bencoded value of an owner's until ``expires``; StoreRefused if over a bound.

        An owner's former value of the key is replaced; but one that was handed on (not
        ``is_direct``) replaces only one that was handed on, too, and ends earlier. With
        ``overwrite``, other owners' go too where ``Params.overwrite_drops_others`` says so.
        """
        if self._ends and self._ends[0][0] <= now:
            self.expire(now)
        owners = self._keys.get(key, {})
        former = owners.get(owner) if owners else None  # to hash a contact is not for nothing
        if former is not None and not is_direct and (former.is_direct or former.expires >= expires):
            owners[owner] = former._replace(given=now)
            return
        leaving = {} if former is None else {owner: former}
        if overwrite and self._params.overwrite_drops_others:
            leaving = owners
        address = address_of(owner)
        self._check_bounds(encoded, owners, leaving, address)
        for each in list(leaving):
            self._drop(key, each)
        self._keys.setdefault(key, {})[owner] = Entry(encoded, expires, is_direct, now)
        self._entries += 1
        self._bytes += len(encoded)
        self._addresses[address] = self._addresses.get(address, 0) + len(encoded) + ONE_ENTRY
        self._rows += 1
        heapq.heappush(self._ends, (expires, self._rows, key, owner))
        if len(self._ends) > 2 * self._entries + 64:
            self._compact()

    def _check_bounds(
        self,
        encoded: bytes,
        owners: dict[Contact, Entry],
        leaving: dict[Contact, Entry],
        address: bytes,
    ) -> None:
        entries, of_key, stored = self._entries, len(owners), self._bytes
        of_address = self._addresses.get(address, 0)
        if leaving:
            entries -= len(leaving)
            of_key -= len(leaving)
            for each, entry in leaving.items():
                stored -= len(entry.encoded)
                if address_of(each) == address:
                    of_address -= len(entry.encoded) + ONE_ENTRY
        check_bounds(self._params, len(encoded), entries, of_key, stored, of_address)

    def get(self, key: bytes, howmany: int, now: float) -> list[bytes]:
        """Up to ``howmany`` bencoded values of a key, the owner that stored last first."""
        owners = self._keys.get(key)
        if owners is None or howmany <= 0:
            return []
        found = []
        for entry in reversed(owners.values()):
            if entry.expires > now:
                found.append(entry.encoded)
                if len(found) == howmany:
                    break
        return found

    def expire(self, now: float) -> int:
        """Forget what has ended by ``now``; how many values that were."""
        ends, gone = self._ends, 0
        while ends and ends[0][0] <= now:
            expires, _, key, owner = heapq.heappop(ends)
            entry = self._keys.get(key, {}).get(owner)
            if entry is not None and entry.expires == expires:
                self._drop(key, owner)
                gone += 1
        return gone

    def next_expiry(self) -> float | None:
        """The earliest time at which ``expire`` may have something to do."""
        return self._ends[0][0] if self._ends else None

    def _drop(self, key: bytes, owner: Contact) -> None:
        owners = self._keys[key]
        size = len(owners.pop(owner).encoded)
        self._bytes -= size
        self._entries -= 1
        address = address_of(owner)
        self._addresses[address] -= size + ONE_ENTRY
        if not self._addresses[address]:
            del self._addresses[address]
        if not owners:
            del self._keys[key]

    def _compact(self) -> None:
        """Build the heap anew once most of its rows are of values long replaced."""
        rows = [
            (entry.expires, number, key, owner)
            for number, (key, owner, entry) in enumerate(
                (key, owner, entry)
                for key, owners in self._keys.items()
                for owner, entry in owners.items()
            )
        ]
        heapq.heapify(rows)
        self._ends = rows
        self._rows = len(rows)
