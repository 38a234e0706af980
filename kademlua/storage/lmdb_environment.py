"""LmdbEnvironment: one LMDB file, read through a snapshot and written in batches.

It is opened without LMDB's lock: the data directory has one, and without it a transaction may start
in one thread and be committed in another. This class ensures what LMDB then requires: one writer
at a time, and no reader older than the last commit.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import lmdb

from kademlua.build import install_command
from kademlua.core.errors import StorageError
from kademlua.storage.lmdb_errors import DAMAGE_ERRORS, FILE_DAMAGED, CorruptFile, FileGone, message
from kademlua.storage.row_format import FORMAT_KEY, pack_label, unpack_label

Cursor: TypeAlias = "lmdb.Cursor[bytes]"
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

logger = logging.getLogger(__name__)

_BROKEN_LMDB_VERSIONS = frozenset({"2.2.0", "2.2.1"})
_INITIAL_MAP_BYTES = 1 << 26
_SPARE_MAP_BYTES = 1 << 16
"""Room in the map of a file that is opened, at least."""


def check_lmdb_version() -> None:
    """Check that the installed lmdb works.

    Raises:
        StorageError: it does not.
    """
    if lmdb.__version__ in _BROKEN_LMDB_VERSIONS:
        command = install_command("disk")
        raise StorageError(f"lmdb {lmdb.__version__} does not work; run: {command}")


class LmdbEnvironment:
    """The named databases of one file."""

    def __init__(
        self, path: Path, kind: str, version: int, db_names: Sequence[str], *, index_db: str = ""
    ) -> None:
        """Open or create the file.

        ``kind`` is the content that the file declares; a file of another kind is refused. The
        database ``index_db`` has several rows per key; its user fills it again if it is missing.

        Raises:
            CorruptFile: the file is damaged or foreign.
            StorageError: the file has a newer version or cannot be opened, or lmdb does not work.
        """
        check_lmdb_version()
        self.path = path
        self._db_names = db_names
        self._kind = kind
        self._version = version
        self._index_db = index_db
        self._is_abandoned = False
        self.is_older = False
        """Whether an older version wrote the file before it was opened."""
        self._open()

    def _open(self) -> None:
        exists = self.path.exists()
        size = self.path.stat().st_size if exists else 0
        if exists and not size:
            raise CorruptFile(self.path, "it is empty")
        map_size = _INITIAL_MAP_BYTES
        while map_size < size + _SPARE_MAP_BYTES:
            map_size *= 2
        try:
            self._env = lmdb.open(
                str(self.path),
                map_size=map_size,
                subdir=False,
                mode=0o600,
                lock=False,
                readahead=False,  # keys are hashes: neighbouring rows are not read next
                max_dbs=len(self._db_names) + 1,
            )
        except lmdb.Error as error:
            raise self._opening_error(error) from None
        try:
            self._check_size(size)
            self._open_databases()
            self._file_id = self._stat_file()
            self.refresh_snapshot()
        except lmdb.Error as error:
            self._env.close()
            raise self._opening_error(error) from None
        except BaseException:
            self._env.close()
            raise

    def _opening_error(self, error: lmdb.Error) -> StorageError:
        """Return what to raise for an error of LMDB, which may say nothing of the file."""
        if isinstance(error, DAMAGE_ERRORS):
            return CorruptFile(self.path, message(error))
        return StorageError(f"can't open {self.path}: {message(error)}")

    def _stat_file(self) -> tuple[int, int] | None:
        """Return what identifies the file at the path; None if there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_in_place(self) -> None:
        """Raise FileGone if the open file was deleted, moved or replaced."""
        if self._stat_file() != self._file_id:
            raise FileGone(f"{self.path} was deleted, moved or replaced")

    def _check_size(self, size: int) -> None:
        """Raise CorruptFile if the file was truncated: reading a missing page crashes the
        process."""
        pages = self._env.info()["last_pgno"] + 1
        page = self._env.stat()["psize"]
        if size and size < pages * page:
            raise CorruptFile(self.path, f"{pages * page - size:,} bytes are missing at its end")

    def _open_databases(self) -> None:
        self._databases: dict[str, lmdb._Database] = {}
        with self._env.begin() as txn:
            is_new = txn.stat()["entries"] == 0
            version = self._version if is_new else self._read_version(txn)
        self.is_older = version < self._version
        # A handle from a transaction that only reads would end with it.
        with self._env.begin(write=True) as txn:
            for db_name in self._db_names:
                is_index = db_name == self._index_db
                self._databases[db_name] = self._env.open_db(
                    db_name.encode(),
                    txn=txn,
                    dupsort=is_index,
                    create=is_new or self.is_older or is_index,
                )
            label = pack_label(self._kind, self._version)
            if txn.get(FORMAT_KEY) != label:
                txn.put(FORMAT_KEY, label)

    def _read_version(self, txn: Transaction) -> int:
        """Return the version of the file's format."""
        found = unpack_label(txn.get(FORMAT_KEY) or b"")
        if found is None:
            if all(txn.get(name.encode()) is not None for name in self._db_names):
                logger.warning("%s: its format row is damaged and was written again", self.path)
                return self._version
        elif found.kind == self._kind:
            if found.version > self._version:
                raise StorageError(
                    f"{self.path} has format {found.version},"
                    f" this Kademlua reads up to {self._version}"
                )
            return found.version
        raise CorruptFile(self.path, "it is of another kind, or another program wrote it")

    # Reading

    @contextlib.contextmanager
    def first_reads(self) -> Iterator[None]:
        """Close the file if it proves damaged in the block.

        Raises:
            CorruptFile: LMDB found a damaged page.
            StorageError: the file cannot be read.
        """
        try:
            yield
        except lmdb.Error as error:
            self.close()
            raise self._opening_error(error) from None

    def refresh_snapshot(self) -> None:
        """Read the state of the last commit from now on, unless the file was abandoned."""
        if self._is_abandoned:
            return
        self._snapshot: Transaction = self._env.begin()

    def cursor(self, db_name: str) -> Cursor:
        """Return a cursor of the snapshot."""
        return self._snapshot.cursor(self._databases[db_name])

    def get(self, db_name: str, row_key: bytes) -> bytes | None:
        """Return the data of a row; None if there is none."""
        return self._snapshot.get(row_key, db=self._databases[db_name])

    def row_count(self, db_name: str) -> int:
        """Return the number of committed rows of a database."""
        count: int = self._snapshot.stat(self._databases[db_name])["entries"]
        return count

    def abandon(self) -> None:
        """Neither read nor write the file any more; both raise errors of LMDB or CorruptFile."""
        self._is_abandoned = True
        self.drop_snapshot()

    # Writing

    def prepare(
        self, write: Callable[[Transaction, dict[str, lmdb._Database]], None]
    ) -> Transaction:
        """Return a transaction in which ``write`` has written its rows, ready to be committed.

        If the map is too small, it grows, and ``write`` is called again.

        Raises:
            FileGone: the file is no longer at its path.
            CorruptFile: the file was abandoned.
        """
        if self._is_abandoned:
            raise CorruptFile(self.path, FILE_DAMAGED)
        self._check_in_place()
        while True:
            txn: Transaction = self._env.begin(write=True)
            try:
                write(txn, self._databases)
            except lmdb.MapFullError:
                txn.abort()
                self.grow()
            except BaseException:
                txn.abort()
                raise
            else:
                return txn

    def drop_snapshot(self) -> None:
        """Release the snapshot; ``refresh_snapshot`` opens a new one."""
        self._snapshot.abort()

    def grow(self) -> None:
        """Double the size of the map; no transaction may be open.

        Raises:
            OSError: the address space has no room for it; the map stays as it is.
        """
        size: int = self._env.info()["map_size"]
        # LMDB unmaps the file before it maps it again, so that a failure would leave no map.
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ).close()
        self.drop_snapshot()
        try:
            self._env.set_mapsize(2 * size)
        except lmdb.Error:  # another thread was faster
            self._env.close()
            self._open()
            raise
        self.refresh_snapshot()

    def reopen(self) -> None:
        """Reopen the file after an LMDB panic; uncommitted changes are lost.

        Raises:
            FileGone: the file is no longer at its path; it can still be read.
            StorageError: the file cannot be opened.
        """
        self._check_in_place()
        self.drop_snapshot()
        self._env.close()
        self._open()

    def close(self) -> None:
        """Close the file; uncommitted changes are lost."""
        with contextlib.suppress(lmdb.Error):  # it could not be reopened
            self.drop_snapshot()
        self._env.close()
