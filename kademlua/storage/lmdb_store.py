"""DiskStore: the same store of values as the one in memory, on LMDB.

On disk, times are µs of the wall clock, so that what is left of a life outlives the process.
The databases: ``values`` by key and owner; ``ends``, the same rows by end of life;
``addresses``, bytes by owner address; ``meta``, the counts of all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.store import ONE_ENTRY, Entry, address_of, check_bounds
from kademlua.storage.group_commit import Ledger
from kademlua.storage.lmdb_environment import Environment
from kademlua.storage.row_format import (
    VERSION,
    Counts,
    Record,
    encoded_size,
    end_row,
    micros,
    pack_counts,
    pack_number,
    pack_record,
    read_counts,
    read_end_row,
    read_number,
    read_record,
)

_COUNTS = b"counts"
_NODE_ID = b"id"
_NEVER = 1 << 64
_SWEEP = 5_000
"""Values forgotten in one go, at most: after a long sleep it may be millions that ended."""
_SWEEP_BESIDE = 100
"""The same, beside a store."""
_KEYS = 1_000
"""Keys that are read at a time."""


class DiskStore:
    """One value per owner and key, bounded like a ``DataStore``; ``kept`` once committed."""

    is_durable = True

    def __init__(
        self,
        path: Path,
        params: Params,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        in_background: bool = True,
    ) -> None:
        """Open or make the file; raises as ``Environment`` does.

        ``clock`` is that of the node, ``wall`` gives seconds since 1970. Without
        ``in_background``, nothing is committed but by ``kept``, ``flush`` and ``close``.
        """
        names = ("values", "ends", "addresses", "meta")
        environment = Environment(path, "values", VERSION, names)
        self._environment = environment
        self._ledger = ledger = Ledger(
            environment, grouped="values", group_bytes=ID_BYTES, in_background=in_background
        )
        ledger.before_commit = self._note_counts
        ledger.after_commit = self._committed
        self._params = params
        self._clock = clock
        self._read_counts()
        # Where the clock was set back, time went on from where it was: no life grows longer.
        self._offset = max(wall(), self._counts_latest / 1e6) - clock()

    def _read_counts(self) -> None:
        counts = read_counts(self._environment.get("meta", _COUNTS))
        self._entries, self._bytes, self._order, self._counts_latest = counts
        self._find_due()

    def _find_due(self) -> None:
        """The earliest end there may be, in µs, and where in ``ends`` to begin next time."""
        self._swept = b""
        cursor = self._environment.cursors["ends"]
        self._due_on_disk = read_end_row(cursor.key())[0] if cursor.first() else _NEVER
        self._due_pending = min(
            (
                read_end_row(row)[0]
                for batch in self._ledger.batches
                for row, data in batch.rows.get("ends", {}).items()
                if data is not None
            ),
            default=_NEVER,
        )

    # Its life.

    def kept(self, callback: Callable[[str | None], None]) -> None:
        """Call back once all that was put so far is committed, or lost: then with the reason."""
        self._ledger.kept(callback)

    def flush(self) -> None:
        """Block until all that was put so far is committed or lost."""
        self._ledger.flush()

    def close(self) -> None:
        """Commit what is left and close the file."""
        self._ledger.close()

    def _note_counts(self) -> None:
        self._counts_latest = max(self._counts_latest, self._micros(self._clock()))
        counts = Counts(self._entries, self._bytes, self._order, self._counts_latest)
        self._ledger.put("meta", _COUNTS, pack_counts(counts))

    def _committed(self, is_well: bool) -> None:
        if is_well:
            self._find_due()
        else:
            self._read_counts()

    @property
    def node_id(self) -> bytes | None:
        """The id of the node whose store it is, where it was told."""
        return self._ledger.get("meta", _NODE_ID)

    @node_id.setter
    def node_id(self, node_id: bytes) -> None:
        self._ledger.put("meta", _NODE_ID, node_id)

    # What a node asks of a store.

    def __len__(self) -> int:
        return self._entries

    @property
    def stored_bytes(self) -> int:
        """Bytes of all values, bencoded."""
        return self._bytes

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
        """As ``DataStore.put``; it counts as kept only when ``kept`` says so."""
        time_now, ends = self._micros(now), self._micros(expires)
        if time_now >= self._due_on_disk or time_now >= self._due_pending:
            self._sweep(time_now, _SWEEP_BESIDE)
        row = key + owner.packed
        data = self._ledger.get("values", row)
        former = read_record(row, data) if data is not None else None
        if former is not None and not is_direct and (former.is_direct or former.ends >= ends):
            renewed = former._replace(given=time_now)
            self._ledger.put("values", row, pack_record(row, renewed))
            return
        leaving = {} if data is None else {row: data}
        if overwrite and self._params.overwrite_drops_others:
            leaving = self._ledger.group(key)
        address = address_of(owner)
        check_bounds(
            self._params,
            len(encoded),
            self._entries - len(leaving),
            self._ledger.count_group(key) - len(leaving),
            self._bytes - sum(map(encoded_size, leaving.values())),
            read_number(self._ledger.get("addresses", address))
            - sum(
                encoded_size(each) + ONE_ENTRY
                for gone, each in leaving.items()
                if address_of_row(gone) == address
            ),
        )
        for gone, each in leaving.items():
            self._drop(gone, each)
        self._order += 1
        record = Record(self._order, ends, time_now, is_direct, encoded)
        self._ledger.put("values", row, pack_record(row, record))
        self._ledger.put("ends", end_row(ends, row), b"")
        self._due_pending = min(self._due_pending, ends)
        self._count(row, 1, len(encoded))

    def get(self, key: bytes, howmany: int, now: float) -> list[bytes]:
        """Up to ``howmany`` bencoded values of a key, the owner that stored last first."""
        if howmany <= 0:
            return []
        rows = self._ledger.group(key)
        if not rows:
            return []
        time_now = self._micros(now)
        living = []
        for row, data in rows.items():
            record = read_record(row, data)
            if record is None:
                self._drop(row, data)
            elif record.ends > time_now:
                living.append(record)
        if len(living) > 1:
            living.sort(reverse=True)
        return [record.encoded for record in living[:howmany]]

    def entries(self, key: bytes) -> list[tuple[Contact, Entry]]:
        """All values of a key with their owners; those over, but not yet gone, too."""
        return [
            (
                Contact.unpack(row[ID_BYTES:]),
                Entry(
                    record.encoded,
                    self._seconds(record.ends),
                    record.is_direct,
                    self._seconds(record.given),
                ),
            )
            for row, record in sorted(self._records(key), key=lambda each: each[1].order)
        ]

    def keys(self) -> Iterator[bytes]:
        """The keys under which something is stored; those that come or go meanwhile may be
        among them or not."""
        last = b""
        while found := self._keys_after(last):
            yield from found
            last = found[-1]

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Forget an owner's value; whether there was one."""
        row = key + owner.packed
        data = self._ledger.get("values", row)
        if data is None:
            return False
        self._drop(row, data)
        return True

    def expire(self, now: float) -> int:
        """Forget what has ended by ``now``, up to some thousand; how many values that were."""
        return self._sweep(self._micros(now), _SWEEP)

    def next_expiry(self) -> float | None:
        """The earliest time at which ``expire`` may have something to do."""
        due = min(self._due_on_disk, self._due_pending)
        return None if due == _NEVER else self._seconds(due)

    # Within.

    def _micros(self, now: float) -> int:
        when = (now + self._offset) * 1e6
        return int(when + 0.5) if 0 <= when < 1e18 else micros(when / 1e6)

    def _seconds(self, when: int) -> float:
        return when / 1e6 - self._offset

    def _records(self, key: bytes) -> list[tuple[bytes, Record]]:
        """The records of a key; one that is damaged goes."""
        found = []
        for row, data in self._ledger.group(key).items():
            record = read_record(row, data)
            if record is not None:
                found.append((row, record))
            else:
                self._drop(row, data)
        return found

    def _keys_after(self, last: bytes) -> list[bytes]:
        """Some keys, sorted, beginning behind the last one; none where there are no more."""
        found: set[bytes] = set()
        group = last
        cursor = self._environment.cursors["values"]
        while len(found) < _KEYS:
            # No row of a key is as long as this, and none of the next key comes before it.
            if not cursor.set_range(group + b"\xff" * 64 if group else b""):
                break
            group = cursor.key()[:ID_BYTES]
            found.add(group)
        is_all = len(found) < _KEYS
        for batch in self._ledger.batches:
            for key in batch.groups:
                if key > last and (is_all or key <= group):
                    found.add(key)
        changed = set().union(*(batch.groups for batch in self._ledger.batches))
        there = [key for key in found if key not in changed or self._ledger.count_group(key)]
        if not there and not is_all:
            return self._keys_after(group)
        return sorted(there)

    def _sweep(self, time_now: int, most: int) -> int:
        """Forget what has ended, up to ``most`` values of those on disk."""
        gone = rows = 0
        if self._due_pending <= time_now:
            gone += self._sweep_pending(time_now)
        cursor = self._environment.cursors["ends"]
        while self._due_on_disk <= time_now and rows < most:
            rows += 1
            if not cursor.set_range(self._swept):
                self._due_on_disk = _NEVER
                break
            row = cursor.key()
            self._due_on_disk = read_end_row(row)[0]
            if self._due_on_disk <= time_now:
                gone += self._end(row)
                self._swept = row + b"\0"
        return gone

    def _sweep_pending(self, time_now: int) -> int:
        gone = 0
        due = _NEVER
        for batch in list(self._ledger.batches):
            for row, data in list(batch.rows.get("ends", {}).items()):
                if data is None or self._ledger.get("ends", row) is None:
                    continue
                ends, _ = read_end_row(row)
                if ends <= time_now:
                    gone += self._end(row)
                else:
                    due = min(due, ends)
        self._due_pending = due
        return gone

    def _end(self, row: bytes) -> int:
        """A row of ``ends`` is due: forget its value, unless that has another end by now."""
        ends, value_row = read_end_row(row)
        data = self._ledger.get("values", value_row)
        record = read_record(value_row, data) if data is not None else None
        if data is None or (record is not None and record.ends != ends):
            self._ledger.put("ends", row, None)
            return 0
        self._drop(value_row, data)
        self._ledger.put("ends", row, None)
        return 1

    def _drop(self, row: bytes, data: bytes) -> None:
        record = read_record(row, data)
        if record is not None:
            self._ledger.put("ends", end_row(record.ends, row), None)
        self._ledger.put("values", row, None)
        self._count(row, -1, -encoded_size(data))

    def _count(self, row: bytes, entries: int, stored: int) -> None:
        self._entries += entries
        self._bytes += stored
        address = address_of_row(row)
        number = read_number(self._ledger.get("addresses", address))
        number += entries * ONE_ENTRY + stored
        self._ledger.put("addresses", address, pack_number(number) if number > 0 else None)


def address_of_row(row: bytes) -> bytes:
    """The address of the owner in a row of ``values``."""
    return row[2 * ID_BYTES : -2][:8]
