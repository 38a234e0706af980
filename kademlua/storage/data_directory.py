"""The data directory of one node: whose it is, and what is done with a file that is broken."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kademlua.core.errors import StorageError
from kademlua.storage import integrity_check
from kademlua.storage.lmdb_environment import DamagedFile

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class DataDirectory:
    """A directory that is this process's alone until ``close``, or the process's end."""

    def __init__(self, path: Path, *, is_wary: bool = True) -> None:
        """Make it where it is missing; StorageError where it can't be used, or is in use.

        Who ``is_wary`` has files walked that were not left by a clean end.
        """
        self._is_wary = is_wary
        self.path = path
        try:
            path.mkdir(0o700, parents=True, exist_ok=True)
            # Not removed at the end: who waits for it would hold a lock on a file that is gone.
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"can't use {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 20).decode(errors="replace").strip()
            os.close(self._lock)
            by = f" by process {holder}" if holder.isdigit() else ""
            raise StorageError(f"{path} is in use{by}") from None
        self._opened: set[Path] = set()
        self._left = integrity_check.take_left(path / "left")
        try:
            os.truncate(self._lock, 0)
            os.write(self._lock, b"%d\n" % os.getpid())
        except OSError:  # a full disk: the lock holds without the number
            pass

    def open(self, name: str, opened: Callable[[Path], _T], what: str) -> _T:
        """What ``opened`` makes of a file of the directory; a damaged or foreign one is moved
        aside, and begun anew. ``what`` says what is lost by that."""
        path = self.path / name
        self._opened.add(path)
        try:
            if self._is_wary and not integrity_check.is_as_left(path, self._left):
                why = integrity_check.why_broken(path)
                if why is not None:
                    raise DamagedFile(path, why)
            return opened(path)
        except DamagedFile as error:
            aside = _moved_aside(path)
            logger.warning(
                "%s is damaged (%s) and was moved to %s; %s begin anew",
                path,
                error.why,
                aside.name,
                what,
            )
        return opened(path)

    def close(self) -> None:
        """Let others have it; after its files were closed."""
        integrity_check.note_left(self.path / "left", self._opened)
        os.close(self._lock)


def _moved_aside(path: Path) -> Path:
    """Give a file another name beside its own; StorageError where that fails."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise StorageError(f"can't move {path} aside: {error.strerror}") from None
    return aside
