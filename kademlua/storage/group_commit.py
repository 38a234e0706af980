"""Ledger: rows that are on disk, or on their way there in grouped commits.

Changes are gathered in memory, where reads see them at once. A greenlet that lives while there
are any writes them as one transaction, and has a thread commit it, while the next ones are
gathered: so the loop never waits for the disk, and the more comes in the larger the groups are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import gevent
import lmdb
from gevent import Greenlet

from kademlua.storage.lmdb_environment import Environment, Transaction, why_lost

logger = logging.getLogger(__name__)

Callback = Callable[[str | None], None]
"""Told None once something is kept, or else why it can't be."""


class Batch:
    """The changes of one commit; None for a row that goes."""

    __slots__ = ("groups", "rows", "waiting")

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, bytes | None]] = {}
        self.groups: dict[bytes, set[bytes]] = {}
        """The rows of the grouped database, by what they begin with."""
        self.waiting: list[Callback] = []

    def write(self, txn: Transaction, databases: dict[str, lmdb._Database]) -> None:
        """Write all of it; sorted, as neighbours share pages."""
        for name, rows in self.rows.items():
            database = databases[name]
            for row, data in sorted(rows.items()):
                if data is None:
                    txn.delete(row, db=database)
                else:
                    txn.put(row, data, db=database)


class Ledger:
    """The rows of one environment, as of now."""

    def __init__(
        self,
        environment: Environment,
        *,
        grouped: str = "",
        group_bytes: int = 0,
        in_background: bool = True,
    ) -> None:
        """The rows of the database ``grouped`` can be told by their first ``group_bytes``.

        Without ``in_background`` nothing is committed but by ``flush`` and ``kept``.
        """
        self._environment = environment
        self._grouped = grouped
        self._group_bytes = group_bytes
        self._in_background = in_background
        self._pending = Batch()
        self._committing: Batch | None = None
        self._greenlet: Greenlet[..., None] | None = None
        self.before_commit: Callable[[], None] = _nothing
        """Called before a batch is sealed, to add its last rows."""
        self.after_commit: Callable[[bool], None] = _nothing
        """Called when what is on disk has changed, with True; or with False when all that
        was not committed is lost."""

    @property
    def batches(self) -> Iterator[Batch]:
        """The batches not committed yet, the later one last: where both have a row, it
        is the later one's."""
        if self._committing is not None:
            yield self._committing
        yield self._pending

    def get(self, name: str, row: bytes) -> bytes | None:
        """What stands in a row."""
        for batch in (self._pending, self._committing):
            if batch is not None:
                rows = batch.rows.get(name)
                if rows is not None and row in rows:
                    return rows[row]
        return self._environment.get(name, row)

    def put(self, name: str, row: bytes, data: bytes | None) -> None:
        """Change a row, or with None drop it."""
        batch = self._pending
        if not batch.rows and self._in_background and self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        rows = batch.rows.get(name)
        if rows is None:
            rows = batch.rows[name] = {}
        rows[row] = data
        if name == self._grouped:
            batch.groups.setdefault(row[: self._group_bytes], set()).add(row)

    def rows(self, name: str) -> dict[bytes, bytes]:
        """All rows of a database, which should be few."""
        found: dict[bytes, bytes | None] = dict(self._environment.cursors[name].iternext())
        for batch in self.batches:
            found |= batch.rows.get(name, {})
        return {row: data for row, data in found.items() if data is not None}

    def group(self, group: bytes) -> dict[bytes, bytes]:
        """All rows of the grouped database that begin so."""
        found: dict[bytes, bytes] = {}
        cursor = self._environment.cursors[self._grouped]
        is_at_one = cursor.set_range(group)
        while is_at_one:
            row, data = cursor.item()
            if row[: self._group_bytes] != group:
                break
            found[row] = data
            is_at_one = cursor.next()
        for batch in (self._committing, self._pending):
            if batch is not None and group in batch.groups:
                rows = batch.rows[self._grouped]
                for row in batch.groups[group]:
                    changed = rows[row]
                    if changed is None:
                        found.pop(row, None)
                    else:
                        found[row] = changed
        return found

    def count_group(self, group: bytes) -> int:
        """How many rows of the grouped database begin so; their data is not looked at."""
        cursor = self._environment.cursors[self._grouped]
        there: set[bytes] = set()
        is_at_one = cursor.set_range(group)
        while is_at_one:
            row = cursor.key()
            if not row.startswith(group):
                break
            there.add(row)
            is_at_one = cursor.next()
        for batch in self.batches:
            for row in batch.groups.get(group, ()):
                if batch.rows[self._grouped][row] is None:
                    there.discard(row)
                else:
                    there.add(row)
        return len(there)

    def kept(self, callback: Callback) -> None:
        """Call back when all changes so far are on disk or lost."""
        if self._pending.rows:
            self._pending.waiting.append(callback)
            if not self._in_background:
                self.flush()
        elif self._committing is not None:
            self._committing.waiting.append(callback)
        else:
            callback(None)

    def flush(self) -> None:
        """Block until all changes so far are on disk or lost."""
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.join()
        if self._pending.rows:
            self._commit(_at_once)

    def close(self) -> None:
        """Commit what is left, and close the file."""
        self.flush()
        self._environment.close()

    def _run(self) -> None:
        try:
            while self._pending.rows:
                self._commit(off_the_loop)
        finally:
            self._greenlet = None

    def _commit(self, offload: Callable[[Callable[[], None]], None]) -> None:
        """Commit one batch, the disk's part by ``offload``."""
        self.before_commit()
        batch, self._pending = self._pending, Batch()
        self._committing = batch
        environment = self._environment
        try:
            while True:
                txn = environment.begin(batch.write)
                try:
                    offload(txn.commit)
                    break
                except lmdb.MapFullError:
                    txn.abort()
                    environment.grow()
                except BaseException:
                    txn.abort()
                    raise
        except Exception as error:  # whatever it is, those who wait are told
            self._lose(error)
        else:
            environment.release()
            environment.renew()
            self._committing = None
            self.after_commit(True)
            _tell(batch, None)

    def _lose(self, error: Exception) -> None:
        """Forget whatever is not on disk: what came after the batch was built on it."""
        path = self._environment.path
        reason = why_lost(path, error)
        logger.warning("%s: %s (%s)", path, reason, error)
        lost = list(self.batches)
        self._pending, self._committing = Batch(), None
        if isinstance(error, lmdb.PanicError):
            self._environment.reopen()
        self.after_commit(False)
        for batch in lost:
            _tell(batch, reason)


def _tell(batch: Batch, reason: str | None) -> None:
    for callback in batch.waiting:
        try:
            callback(reason)
        except Exception:  # the others wait, too
            logger.exception("what was to follow a commit failed")


def off_the_loop(commit: Callable[[], None]) -> None:
    """Commit in a thread, while others run in this one."""
    gevent.get_hub().threadpool.apply(commit)


def _at_once(commit: Callable[[], None]) -> None:
    commit()


def _nothing(*_: bool) -> None:
    pass
