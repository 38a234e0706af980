"""The errors of a data file: which of them show damage, and what peers are told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import lmdb

from kademlua.core.errors import StorageError

DAMAGE_ERRORS = (
    lmdb.BadDbiError,
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
"""The errors that a damaged or foreign file causes; others say nothing of the file."""
FILE_DAMAGED = "the data file is damaged"
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


class CorruptFile(StorageError):
    """The file ``path`` is damaged or foreign."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class FileGone(StorageError):
    """The open file is no longer at its path: what is written to it would be lost."""


def message(error: lmdb.Error) -> str:
    """Return LMDB's message without the name of its function."""
    return str(error).rpartition(": ")[2] or type(error).__name__


def failure_reason(path: Path, error: Exception) -> str:
    """Return why a commit failed, as text that may be sent to a peer."""
    if isinstance(error, FileGone):
        return "the data file is gone"
    if isinstance(error, (CorruptFile, *DAMAGE_ERRORS)):
        return FILE_DAMAGED
    if isinstance(error, MemoryError) or os.strerror(errno.ENOMEM) in str(error):
        return "the address space is exhausted"
    try:
        filesystem = os.statvfs(path.parent)
        # LMDB calls a write cut short by a full disk an I/O error.
        is_full = filesystem.f_bavail * filesystem.f_frsize < 1 << 20
    except OSError:
        is_full = False
    if is_full or any(os.strerror(code) in str(error) for code in _DISK_FULL_ERRNOS):
        return "the disk is full"
    return "the disk can't be written"
