"""Key files: one line with the kind of a secret and its 32 bytes in hex, for its owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kademlua.core.errors import KeyFileError

_MAX_BYTES = 1_024
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write(path: str | Path, kind: str, secret: bytes) -> None:
    """Write a new file, mode 0600; OSError, also where there is one already."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        file.write(f"{kind} {secret.hex()}\n")
        file.flush()
        os.fsync(fd)


def read(path: str | Path, kind: str, size: int = 32) -> bytes:
    """The secret of a file; OSError, and KeyFileError where it holds none of this kind or
    anybody but its owner may do anything with it."""
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & _FOR_OTHERS:
            raise KeyFileError(f"{path}: others may read it; chmod 600 it, or make a new key")
        words = file.read(_MAX_BYTES).split()
    try:
        named, digits = words
        secret = bytes.fromhex(digits.decode())
    except ValueError:  # UnicodeDecodeError is one too
        raise KeyFileError(f"{path}: this is no key file") from None
    if named.decode(errors="replace") != kind or len(secret) != size:
        raise KeyFileError(f"{path}: there is no {kind} of {size} bytes in it")
    return secret
