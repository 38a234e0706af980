"""The data directory of one node: its lock, and the handling of damaged files."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kademlua.core.errors import StorageError
from kademlua.storage import integrity_check
from kademlua.storage.durable_files import make_directory, sync_directory
from kademlua.storage.lmdb_environment import check_lmdb_version
from kademlua.storage.lmdb_errors import CorruptFile

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class DataDirectory:
    """A directory that belongs to this process until ``close`` or its end."""

    def __init__(self, path: Path, *, verify_unclean: bool = True) -> None:
        """Create and lock the directory.

        With ``verify_unclean``, files changed since the last clean shutdown are checked.

        Raises:
            StorageError: the directory cannot be used or is in use, or lmdb does not work.
        """
        check_lmdb_version()
        self._verify_unclean = verify_unclean
        self.path = path
        try:
            make_directory(path)
            # Never removed: a waiting process would lock a deleted file.
            self._lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"can't use {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner_pid = os.read(self._lock_fd, 20).decode(errors="replace").strip()
            os.close(self._lock_fd)
            suffix = f" by process {owner_pid}" if owner_pid.isdigit() else ""
            raise StorageError(f"{path} is in use{suffix}") from None
        self._opened_paths: set[Path] = set()
        self._clean_files = integrity_check.consume_clean_marker(path / "left")
        try:
            os.truncate(self._lock_fd, 0)
            os.write(self._lock_fd, b"%d\n" % os.getpid())
        except OSError:  # a full disk: the lock works without the process id
            pass

    def open(self, name: str, open_file: Callable[[Path], _T], contents: str) -> _T:
        """Open a file of the directory with ``open_file``.

        A damaged or foreign file is moved aside and created again; ``contents`` names what is lost.
        """
        path = self.path / name
        self._opened_paths.add(path)
        is_new = not path.exists()
        try:
            reason = integrity_check.take_recorded_damage(path)
            if reason is not None and not is_new:
                raise CorruptFile(path, reason)
            if self._verify_unclean and not integrity_check.is_clean(path, self._clean_files):
                reason = integrity_check.find_corruption(path)
                if reason is not None:
                    raise CorruptFile(path, reason)
            opened = open_file(path)
        except CorruptFile as error:
            moved_to = _move_aside(path)
            logger.warning(
                "%s is damaged (%s) and was moved to %s; %s are lost",
                path,
                error.reason,
                moved_to.name,
                contents,
            )
            is_new = True
            opened = open_file(path)
        if is_new:
            sync_directory(self.path)
        return opened

    def close(self) -> None:
        """Unlock the directory, after its files were closed."""
        try:
            is_in_place = os.path.samestat(os.stat(self.path / "lock"), os.fstat(self._lock_fd))
        except OSError:
            is_in_place = False
        if is_in_place:  # otherwise another process may use a new directory there
            integrity_check.write_clean_marker(self.path / "left", self._opened_paths)
        os.close(self._lock_fd)


def _move_aside(path: Path) -> Path:
    """Rename a file within its directory, and return its new path."""
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(target)
    except OSError as error:
        raise StorageError(f"can't move {path} aside: {error.strerror}") from None
    return target
