"""WriteBuffer: rows on disk and rows waiting for a group commit.

Changes are collected in memory, where reads see them. A greenlet writes all waiting changes as one
transaction and lets a thread commit it, while further changes are collected. The loop never waits
for the disk, and groups grow with the load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from logging import DEBUG, WARNING

import gevent
import lmdb
from gevent import Greenlet

from kademlua.core.errors import StorageError
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.commit_thread import commit_in_thread, commit_inline
from kademlua.storage.lmdb_environment import LmdbEnvironment, Transaction
from kademlua.storage.lmdb_errors import failure_reason

logger = SafeLogger(logging.getLogger(__name__))

DurableCallback = Callable[[str | None], None]
"""Called with None once changes are durable, or with the reason why they were lost."""

_ROWS_PER_WRITE = 32
"""Rows that LMDB writes in one call."""


class WriteBatch:
    """The changes of one commit; None deletes a row."""

    __slots__ = ("callbacks", "changes", "index")

    def __init__(self) -> None:
        self.changes: dict[str, dict[bytes, bytes | None]] = {}
        self.index: dict[bytes, dict[bytes, bool]] = {}
        """The changes of the index database, by key: True adds a row, False deletes it."""
        self.callbacks: list[DurableCallback] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was changed."""
        return not self.changes and not self.index

    def write(
        self, index_db: str, txn: Transaction, databases: dict[str, lmdb._Database]
    ) -> Iterator[None]:
        """Write all changes, sorted, since neighbouring rows share pages; yield in between."""
        for db_name, changes in self.changes.items():
            added = [(row_key, data) for row_key, data in changes.items() if data is not None]
            yield from _put_all(txn, databases[db_name], added)
            for row_key in sorted(row_key for row_key, data in changes.items() if data is None):
                txn.delete(row_key, db=databases[db_name])
                yield
        added = []
        for key, index_rows in self.index.items():
            for row, is_present in index_rows.items():
                if is_present:
                    added.append((key, row))
                else:
                    txn.delete(key, row, db=databases[index_db])
                    yield
        if added:
            yield from _put_all(txn, databases[index_db], added)


def _put_all(
    txn: Transaction, database: lmdb._Database, rows: list[tuple[bytes, bytes]]
) -> Iterator[None]:
    """Write rows, sorted; yield in between."""
    rows.sort()
    for first in range(0, len(rows), _ROWS_PER_WRITE):
        txn.cursor(database).putmulti(rows[first : first + _ROWS_PER_WRITE])
        yield


class WriteBuffer:
    """The rows of one LMDB environment, including changes that are not committed."""

    def __init__(
        self,
        environment: LmdbEnvironment,
        *,
        index_db: str = "",
        in_background: bool = True,
        before_commit: Callable[[], None] = lambda: None,
        after_commit: DurableCallback = lambda reason: None,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """Buffer changes of an environment.

        The database ``index_db`` has several rows per key. Without ``in_background``, only
        ``flush`` and ``when_durable`` commit. ``before_commit`` may add rows to the batch;
        ``after_commit`` is called before the batch's other callbacks.
        """
        self._environment = environment
        self._index_db = index_db
        self._in_background = in_background
        self._pending = WriteBatch()
        self._committing: WriteBatch | None = None
        self._greenlet: Greenlet[..., None] | None = None
        self._failure: str | None = None
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._clock = clock

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
        rows = self._pending.changes.get(db_name)
        if rows is None:
            self._schedule_commit()
            rows = self._pending.changes[db_name] = {}
        rows[row_key] = data

    def put_index_row(self, key: bytes, row: bytes, *, is_present: bool) -> None:
        """Add a row that is absent from the index database, or delete one that is present."""
        self._schedule_commit()
        rows = self._pending.index.setdefault(key, {})
        if rows.get(row) is (not is_present):
            del rows[row]  # as before this batch
        else:
            rows[row] = is_present

    def _schedule_commit(self) -> None:
        if self._in_background and self._greenlet is None and self._pending.is_empty:
            self._greenlet = gevent.spawn(self._commit_loop)

    def drop_damaged(self, db_name: str, row_key: bytes) -> None:
        """Delete a damaged row, with a warning."""
        path = self._environment.path
        logger.warning(
            "%s: the row %s of %s is damaged and was dropped", path, row_key.hex(), db_name
        )
        self.put(db_name, row_key, None)

    def rows(self, db_name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield all rows of a database; the caller may change them meanwhile."""
        changes: dict[bytes, bytes | None] = {}
        for batch in self.batches:
            changes |= batch.changes.get(db_name, {})
        for row_key, data in self._environment.cursor(db_name).iternext():
            if row_key not in changes:
                yield row_key, data
        yield from ((row_key, data) for row_key, data in changes.items() if data is not None)

    def when_durable(self, callback: DurableCallback) -> None:
        """Call back when all changes so far are on disk or lost."""
        if not self._pending.is_empty:
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
        if not self._pending.is_empty:
            self._commit(commit_inline)

    def close(self) -> None:
        """Commit the remaining changes and close the file."""
        self.flush()
        self._environment.close()

    def _commit_loop(self) -> None:
        try:
            while not self._pending.is_empty:
                self._commit(commit_in_thread, lambda rows: in_slices(rows, self._clock))
        finally:
            self._greenlet = None

    def _commit(
        self,
        offload: Callable[[Callable[[], None]], None],
        pace: Callable[[Iterable[None]], Iterable[None]] = iter,
    ) -> None:
        """Commit one batch.

        ``offload`` runs the part that waits for the disk; ``pace`` may run other greenlets between
        two rows.
        """
        self._before_commit()
        batch, self._pending = self._pending, WriteBatch()
        self._committing = batch
        environment = self._environment

        def write(txn: Transaction, databases: dict[str, lmdb._Database]) -> None:
            for _ in pace(batch.write(self._index_db, txn, databases)):
                pass

        try:
            while True:
                txn = environment.prepare(write)
                try:
                    offload(txn.commit)
                    break
                except lmdb.MapFullError:
                    txn.abort()
                    environment.grow()
                except BaseException:
                    txn.abort()
                    raise
            environment.drop_snapshot()
            environment.refresh_snapshot()
        except Exception as error:  # any failure is reported to all callbacks
            self._fail_all(error)
        else:
            self._committing = None
            if self._failure is not None:
                logger.info("%s can be written again", environment.path)
                self._failure = None
            self._after_commit(None)
            _notify(batch, None)

    def _fail_all(self, error: Exception) -> None:
        """Drop all uncommitted changes: later ones depend on the failed batch."""
        path = self._environment.path
        reason = failure_reason(path, error)
        is_repeated = reason == self._failure
        logger.log(DEBUG if is_repeated else WARNING, "%s: %s (%s)", path, reason, error)
        self._failure = reason
        lost = list(self.batches)
        self._pending, self._committing = WriteBatch(), None
        try:
            if isinstance(error, lmdb.PanicError):
                self._environment.reopen()
        except StorageError as failure:  # it is tried again after the next panic
            logger.error("%s", failure)
        try:
            self._after_commit(reason)
        finally:
            for batch in lost:
                _notify(batch, reason)


def _notify(batch: WriteBatch, reason: str | None) -> None:
    for callback in batch.callbacks:
        try:
            callback(reason)
        except Exception:  # the other callbacks must still be called
            logger.exception("a callback failed after a commit")
