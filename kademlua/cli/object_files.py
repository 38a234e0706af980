"""ObjectFile: a file that is filled with an object, in several attempts if need be."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from kademlua.cli.output import count
from kademlua.objects.reader import ObjectReader
from kademlua.storage.durable_files import sync_directory


class ObjectFile:
    """A file that is whole or absent. What an attempt left in ``FILE.part`` is used again."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._partial = self._path.with_name(f"{self._path.name}.part")

    def fetch(self, reader: ObjectReader, on_progress: Callable[[int], None]) -> None:
        """Write an object to the file, and call back with the number of bytes after each block.

        Blocks that are in the partial file already are verified, and not read again.

        Raises:
            OSError: the file cannot be written, has no space on its disk, or another process is at
                it.
            BlockMissing, MalformedObject, NodeClosed: see ``ObjectReader.readinto``.
        """
        self._check_space(reader.size)
        self._partial.touch()
        with self._partial.open("r+b") as file:
            self._lock(file)
            for offset in range(0, reader.size, reader.block_bytes):
                wanted = min(reader.block_bytes, reader.size - offset)
                present = file.read(wanted)
                reader.seek(offset)
                if not present or not reader.has_block(present):
                    file.seek(offset)
                    file.write(_read_whole(reader, wanted))
                on_progress(offset + wanted)
            file.truncate(reader.size)
            file.flush()
            os.fsync(file.fileno())
            self._partial.replace(self._path)  # while it is locked
        sync_directory(self._path.parent)

    def _lock(self, file: BinaryIO) -> None:
        """Raise OSError if another process writes the partial file, or has just completed it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), self._partial.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            reason = "another command writes it"
            raise BlockingIOError(errno.EWOULDBLOCK, reason, str(self._partial))

    def _check_space(self, size: int) -> None:
        """Raise OSError if the disk has no space for the object. Anyone can make one of a few
        records, each used many times, that fills any disk."""
        present = self._partial.stat().st_size if self._partial.exists() else 0
        if size - present > shutil.disk_usage(self._path.parent).free:
            reason = f"the object has {count(size, 'byte')}, for which the disk has no space"
            raise OSError(errno.ENOSPC, reason, str(self._path))


def _read_whole(reader: ObjectReader, size: int) -> bytes:
    data = reader.read(size)
    assert data is not None
    return data
