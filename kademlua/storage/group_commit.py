"""WriteBuffer: rows on disk and rows waiting for a group commit.

Changes are collected in memory, where reads see them. A greenlet writes all waiting changes as one
transaction and lets a thread commit it, while further changes are collected. The loop never waits
for the disk, and groups grow with the load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import gevent
import lmdb
from gevent import Greenlet

from kademlua.runtime.safe_logger import SafeLogger
from kademlua.storage.lmdb_environment import LmdbEnvironment, Transaction, failure_reason

logger = SafeLogger(logging.getLogger(__name__))

DurableCallback = Callable[[str | None], None]
"""Called with None once changes are durable, or with the reason why they were lost."""


class WriteBatch:
    """The changes of one commit; None deletes a row."""

    __slots__ = ("callbacks", "changes", "row_keys_by_prefix")

    def __init__(self) -> None:
        self.changes: dict[str, dict[bytes, bytes | None]] = {}
        self.row_keys_by_prefix: dict[bytes, set[bytes]] = {}
        """The changed rows of the prefix database, by prefix."""
        self.callbacks: list[DurableCallback] = []

    def write(self, txn: Transaction, databases: dict[str, lmdb._Database]) -> None:
        """Write all changes, sorted, since neighbouring rows share pages."""
        for db_name, rows in self.changes.items():
            database = databases[db_name]
            for row_key, data in sorted(rows.items()):
                if data is None:
                    txn.delete(row_key, db=database)
                else:
                    txn.put(row_key, data, db=database)


class WriteBuffer:
    """The rows of one LMDB environment, including changes that are not committed."""

    def __init__(
        self,
        environment: LmdbEnvironment,
        *,
        prefix_db: str = "",
        prefix_bytes: int = 0,
        in_background: bool = True,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: DurableCallback = lambda reason: None,
    ) -> None:
        """Buffer changes of an environment.

        Rows of the database ``prefix_db`` are found by their first ``prefix_bytes``. Without
        ``in_background``, only ``flush`` and ``when_durable`` commit. ``before_commit`` may add
        rows to the batch; ``after_commit`` is called before the batch's other callbacks.
        """
        self._environment = environment
        self._prefix_db = prefix_db
        self._prefix_bytes = prefix_bytes
        self._in_background = in_background
        self._pending = WriteBatch()
        self._committing: WriteBatch | None = None
        self._greenlet: Greenlet[..., None] | None = None
        self._before_commit = before_commit
        self._after_commit = after_commit

    @property
    def batches(self) -> Iterator[WriteBatch]:
        """Uncommitted batches, oldest first; a later one takes precedence."""
        if self._committing is not None:
            yield self._committing
        yield self._pending

    def get(self, db_name: str, row_key: bytes) -> bytes | None:
        """Return the data of a row; None if there is none."""
        for batch in (self._pending, self._committing):
            if batch is not None:
                rows = batch.changes.get(db_name)
                if rows is not None and row_key in rows:
                    return rows[row_key]
        return self._environment.get(db_name, row_key)

    def put(self, db_name: str, row_key: bytes, data: bytes | None) -> None:
        """Change a row, or delete it with None."""
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
        """Return all rows of a small database."""
        found: dict[bytes, bytes | None] = dict(self._environment.cursors[db_name].iternext())
        for batch in self.batches:
            found |= batch.changes.get(db_name, {})
        return {row: data for row, data in found.items() if data is not None}

    def rows_with_prefix(self, prefix: bytes) -> dict[bytes, bytes]:
        """Return the rows of the prefix database with a prefix."""
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
        """Return the number of rows with a prefix, without reading their data."""
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
        """Commit the remaining changes and close the file."""
        self.flush()
        self._environment.close()

    def _commit_loop(self) -> None:
        try:
            while self._pending.changes:
                self._commit(commit_in_thread)
        finally:
            self._greenlet = None

    def _commit(self, offload: Callable[[Callable[[], None]], None]) -> None:
        """Commit one batch; ``offload`` runs the part that waits for the disk."""
        self._before_commit()
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
        except Exception as error:  # any failure is reported to all callbacks
            self._fail_all(error)
        else:
            environment.drop_snapshot()
            environment.refresh_snapshot()
            self._committing = None
            self._after_commit(None)
            _notify(batch, None)

    def _fail_all(self, error: Exception) -> None:
        """Drop all uncommitted changes: later ones depend on the failed batch."""
        path = self._environment.path
        reason = failure_reason(path, error)
        logger.warning("%s: %s (%s)", path, reason, error)
        lost = list(self.batches)
        self._pending, self._committing = WriteBatch(), None
        if isinstance(error, lmdb.PanicError):
            self._environment.reopen()
        self._after_commit(reason)
        for batch in lost:
            _notify(batch, reason)


def _notify(batch: WriteBatch, reason: str | None) -> None:
    for callback in batch.callbacks:
        try:
            callback(reason)
        except Exception:  # the other callbacks must still be called
            logger.exception("a callback failed after a commit")


def commit_in_thread(commit: Callable[[], None]) -> None:
    """Commit in a thread, while other greenlets run."""
    # gevent prints an exception that leaves the thread, although it also raises it here.
    error = gevent.get_hub().threadpool.apply(_failure_of, (commit,))
    if error is not None:
        raise error


def _failure_of(commit: Callable[[], None]) -> Exception | None:
    try:
        commit()
    except Exception as error:
        return error
    return None


def _commit_inline(commit: Callable[[], None]) -> None:
    commit()
