"""Files and directories that survive a power failure, and files that are whole or absent."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def make_directory(path: Path) -> None:
    """Create a directory for its user only, and its parents, unless it exists."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(0o700, parents=True, exist_ok=True)
    for each in missing:
        sync_directory(each.parent)


def sync_directory(path: Path) -> None:
    """Write a directory's entries to disk, so that new files in it survive a power failure."""
    with contextlib.suppress(OSError):  # some file systems refuse
        directory_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory_fd)
        finally:
            os.close(directory_fd)


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[IO[str]]:
    """Open a text file that replaces the one at ``path`` at the end of the block.

    After an exception or a crash, the former file is still there, or none. What is no regular file,
    such as a pipe, is written directly.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as file:
                yield file
            return
        try:
            with partial.open("x", encoding="utf-8") as file:
                if target.exists():
                    shutil.copymode(target, partial)
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)
    except OSError as error:
        if error.filename in (None, str(partial)):  # name the user's file
            error.filename = str(path)
        raise
