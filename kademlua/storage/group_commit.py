"""WriteBuffer: rows on disk and rows waiting for a group commit.

Changes are collected in memory, where reads see them. A greenlet writes all waiting changes as one
transaction and lets a thread commit it, while further changes are collected. The loop never waits
for the disk, and groups grow with the load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from logging import DEBUG, WARNING

import gevent
import lmdb
from gevent import Greenlet

from kademlua.core.errors import StorageError
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.storage.commit_thread import commit_in_thread, commit_inline
from kademlua.storage.lmdb_environment import LmdbEnvironment, Transaction
from kademlua.storage.lmdb_errors import failure_reason

logger = SafeLogger(logging.getLogger(__name__))

_PREFIXES_PER_READ = 1_000
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
        self._failure: str | None = None
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

    def rows_with_prefix(self, prefix: bytes) -> dict[bytes, bytes]:
        """Return the rows of the prefix database with a prefix."""
        found: dict[bytes, bytes] = {}
        cursor = self._environment.cursor(self._prefix_db)
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
        cursor = self._environment.cursor(self._prefix_db)
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

    def prefixes(self) -> Iterator[bytes]:
        """Yield the prefixes of all rows; concurrent changes may or may not appear."""
        last_prefix = b""
        while found := self._prefixes_after(last_prefix):
            yield from found
            last_prefix = found[-1]

    def _prefixes_after(self, after_prefix: bytes) -> list[bytes]:
        """Return some prefixes after ``after_prefix``, sorted; none at the end."""
        found: set[bytes] = set()
        last_read = after_prefix
        cursor = self._environment.cursor(self._prefix_db)
        while len(found) < _PREFIXES_PER_READ:
            # No row of a prefix is as long as this, and none of the next one comes before it.
            if not cursor.set_range(last_read + b"\xff" * 64 if last_read else b""):
                break
            last_read = cursor.key()[: self._prefix_bytes]
            found.add(last_read)
        is_complete = len(found) < _PREFIXES_PER_READ
        changed: set[bytes] = set().union(*(batch.row_keys_by_prefix for batch in self.batches))
        found.update(
            prefix
            for prefix in changed
            if prefix > after_prefix and (is_complete or prefix <= last_read)
        )
        existing = [each for each in found if each not in changed or self.count_prefix(each)]
        if not existing and not is_complete:
            return self._prefixes_after(last_read)
        return sorted(existing)

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
            self._commit(commit_inline)

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
