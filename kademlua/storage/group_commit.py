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

from kademlua.storage.lmdb_environment import LmdbEnvironment, Transaction, failure_reason

logger = logging.getLogger(__name__)

DurableCallback = Callable[[str | None], None]
"""Told None once something is kept, or else why it can't be."""


class WriteBatch:
    """The changes of one commit; None for a row that goes."""

    __slots__ = ("callbacks", "changes", "row_keys_by_prefix")

    def __init__(self) -> None:
        self.changes: dict[str, dict[bytes, bytes | None]] = {}
        self.row_keys_by_prefix: dict[bytes, set[bytes]] = {}
        """The rows of the grouped database, by what they begin with."""
        self.callbacks: list[DurableCallback] = []

    def write(self, txn: Transaction, databases: dict[str, lmdb._Database]) -> None:
        """Write all of it; sorted, as neighbours share pages."""
        for db_name, rows in self.changes.items():
            database = databases[db_name]
            for row_key, data in sorted(rows.items()):
                if data is None:
                    txn.delete(row_key, db=database)
                else:
                    txn.put(row_key, data, db=database)


class WriteBuffer:
    """The rows of one environment, as of now."""

    def __init__(
        self,
        environment: LmdbEnvironment,
        *,
        prefix_db: str = "",
        prefix_bytes: int = 0,
        in_background: bool = True,
    ) -> None:
        """The rows of the database ``prefix_db`` can be told by their first ``prefix_bytes``.

        Without ``in_background`` nothing is committed but by ``flush`` and ``when_durable``.
        """
        self._environment = environment
        self._prefix_db = prefix_db
        self._prefix_bytes = prefix_bytes
        self._in_background = in_background
        self._pending = WriteBatch()
        self._committing: WriteBatch | None = None
        self._greenlet: Greenlet[..., None] | None = None
        self.before_commit: Callable[[], None] = _no_op
        """Called before a batch is sealed, to add its last rows."""
        self.after_commit: Callable[[bool], None] = _no_op
        """Called when what is on disk has changed, with True; or with False when all that
        was not committed is lost."""

    @property
    def batches(self) -> Iterator[WriteBatch]:
        """The batches not committed yet, the later one last: where both have a row, it
        is the later one's."""
        if self._committing is not None:
            yield self._committing
        yield self._pending

    def get(self, db_name: str, row_key: bytes) -> bytes | None:
        """What stands in a row."""
        for batch in (self._pending, self._committing):
            if batch is not None:
                rows = batch.changes.get(db_name)
                if rows is not None and row_key in rows:
                    return rows[row_key]
        return self._environment.get(db_name, row_key)

    def put(self, db_name: str, row_key: bytes, data: bytes | None) -> None:
        """Change a row, or with None drop it."""
        batch = self._pending
        if not batch.changes and self._in_background and self._greenlet is None:
            self._greenlet = gevent.spawn(self._commit_loop)
        rows = batch.changes.get(db_name)
        if rows is None:
            rows = batch.changes[db_name] = {}
        rows[row_key] = data
        if db_name == self._prefix_db:
            batch.row_keys_by_prefix.setdefault(row_key[: self._prefix_bytes], set()).add(row_key)

    def all_rows(self, db_name: str) -> dict[bytes, bytes]:
        """All rows of a database, which should be few."""
        found: dict[bytes, bytes | None] = dict(self._environment.cursors[db_name].iternext())
        for batch in self.batches:
            found |= batch.changes.get(db_name, {})
        return {row: data for row, data in found.items() if data is not None}

    def rows_with_prefix(self, prefix: bytes) -> dict[bytes, bytes]:
        """All rows of the grouped database that begin so."""
        found: dict[bytes, bytes] = {}
        cursor = self._environment.cursors[self._prefix_db]
        has_row = cursor.set_range(prefix)
        while has_row:
            row_key, data = cursor.item()
            if row_key[: self._prefix_bytes] != prefix:
                break
            found[row_key] = data
            has_row = cursor.next()
        for batch in (self._committing, self._pending):
            if batch is not None and prefix in batch.row_keys_by_prefix:
                changes = batch.changes[self._prefix_db]
                for row_key in batch.row_keys_by_prefix[prefix]:
                    new_data = changes[row_key]
                    if new_data is None:
                        found.pop(row_key, None)
                    else:
                        found[row_key] = new_data
        return found

    def count_prefix(self, prefix: bytes) -> int:
        """How many rows of the grouped database begin so; their data is not looked at."""
        cursor = self._environment.cursors[self._prefix_db]
        row_keys: set[bytes] = set()
        has_row = cursor.set_range(prefix)
        while has_row:
            row_key = cursor.key()
            if not row_key.startswith(prefix):
                break
            row_keys.add(row_key)
            has_row = cursor.next()
        for batch in self.batches:
            for row_key in batch.row_keys_by_prefix.get(prefix, ()):
                if batch.changes[self._prefix_db][row_key] is None:
                    row_keys.discard(row_key)
                else:
                    row_keys.add(row_key)
        return len(row_keys)

    def when_durable(self, callback: DurableCallback) -> None:
        """Call back when all changes so far are on disk or lost."""
        if self._pending.changes:
            self._pending.callbacks.append(callback)
            if not self._in_background:
                self.flush()
        elif self._committing is not None:
            self._committing.callbacks.append(callback)
        else:
            callback(None)

    def flush(self) -> None:
        """Block until all changes so far are on disk or lost."""
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.join()
        if self._pending.changes:
            self._commit(_commit_inline)

    def close(self) -> None:
        """Commit what is left, and close the file."""
        self.flush()
        self._environment.close()

    def _commit_loop(self) -> None:
        try:
            while self._pending.changes:
                self._commit(commit_in_thread)
        finally:
            self._greenlet = None

    def _commit(self, offload: Callable[[Callable[[], None]], None]) -> None:
        """Commit one batch, the disk's part by ``offload``."""
        self.before_commit()
        batch, self._pending = self._pending, WriteBatch()
        self._committing = batch
        environment = self._environment
        try:
            while True:
                txn = environment.prepare(batch.write)
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
            self._fail_all(error)
        else:
            environment.drop_snapshot()
            environment.refresh_snapshot()
            self._committing = None
            self.after_commit(True)
            _notify(batch, None)

    def _fail_all(self, error: Exception) -> None:
        """Forget whatever is not on disk: what came after the batch was built on it."""
        path = self._environment.path
        reason = failure_reason(path, error)
        logger.warning("%s: %s (%s)", path, reason, error)
        lost = list(self.batches)
        self._pending, self._committing = WriteBatch(), None
        if isinstance(error, lmdb.PanicError):
            self._environment.reopen()
        self.after_commit(False)
        for batch in lost:
            _notify(batch, reason)


def _notify(batch: WriteBatch, reason: str | None) -> None:
    for callback in batch.callbacks:
        try:
            callback(reason)
        except Exception:  # the others wait, too
            logger.exception("what was to follow a commit failed")


def commit_in_thread(commit: Callable[[], None]) -> None:
    """Commit in a thread, while others run in this one."""
    gevent.get_hub().threadpool.apply(commit)


def _commit_inline(commit: Callable[[], None]) -> None:
    commit()


def _no_op(*_: bool) -> None:
    pass
