"""Files with keys: made for their owner only, and refused where others could use them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kademlua.core.errors import KeyFileError


def write_private(path: str | Path, content: bytes) -> None:
    """Make a file that only its owner can read.

    KeyFileError where it can't be written, or is there: no key is ever overwritten.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except OSError as error:
        os.unlink(path)  # half a key is none
        raise KeyFileError(f"{path}: {error.strerror}") from None


def read_private(path: str | Path, most: int) -> bytes:
    """Up to so many bytes of a file; KeyFileError where it can't be read, or others can do
    anything with it."""
    try:
        # A pipe that nobody writes to must not keep us.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(fd).st_mode  # of the very file that is read
            if not stat.S_ISREG(mode):
                raise KeyFileError(f"{path}: not a file")
            rights = stat.S_IMODE(mode)
            if rights & 0o077:
                raise KeyFileError(f"{path}: others can use it (mode {rights:04o}): chmod 600 it")
            return os.read(fd, most)
        finally:
            os.close(fd)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
