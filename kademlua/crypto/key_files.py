"""Files with keys: made for their owner only, and refused where others could read them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from kademlua.core.errors import KeyFileError
from kademlua.core.security import network_key

_SIGNING_KEY_PREFIX = b"signing-key"
"""What the file of a signing key begins with, so that no other is taken for one."""
_HEX_KEY = re.compile(rb"[0-9a-fA-F]{64}")
_SIGNING_FILE_BYTES = len(_SIGNING_KEY_PREFIX) + 66


def read_network_key(path: str | Path) -> bytes:
    """The 32 bytes of a network's key in its file, of 64 hex digits in one line.

    KeyFileError, in one line that names the file and tells nothing of what is in it, where it
    can't be read, is none, or may be read or written by others than its owner.
    """
    try:
        return network_key.parse_key(read_private_file(path, network_key.MAX_KEY_TEXT_BYTES + 1))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None


def write_network_key(path: str | Path, key: bytes) -> None:
    """Make the file of a network's key, which only its owner can read.

    KeyFileError where it can't be written, or is there: no key is ever overwritten.
    """
    _write_key(path, network_key.format_key(key))


def read_signing_key(path: str | Path) -> bytes:
    """The 32 bytes of a signing key in its file; KeyFileError as ``read_network_key``."""
    try:
        text = read_private_file(path, _SIGNING_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    prefix, _, digits = text.rstrip(b"\n").partition(b" ")
    if prefix != _SIGNING_KEY_PREFIX or not _HEX_KEY.fullmatch(digits):
        raise KeyFileError(f"{path}: not the file of a signing key")
    return bytes.fromhex(digits.decode())


def write_signing_key(path: str | Path, secret: bytes) -> None:
    """Make the file of a signing key as ``write_network_key`` does."""
    _write_key(path, b"%b %b\n" % (_SIGNING_KEY_PREFIX, secret.hex().encode()))


def _write_key(path: str | Path, text: bytes) -> None:
    try:
        create_private_file(path, text)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None


def create_private_file(path: str | Path, data: bytes) -> None:
    """Make a file that only its owner can read; OSError where it can't be, or is there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except OSError:
        os.unlink(path)  # half a key is none
        raise


def read_private_file(path: str | Path, max_bytes: int) -> bytes:
    """Up to so many bytes of a file; ValueError where it is not its owner's alone, OSError where
    it can't be read."""
    # A pipe that nobody writes to must not keep us.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)  # of the very file that is read
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("not a file")
        # What another user wrote for this one, as Kubernetes does, is read by way of a group.
        is_owned_by_user = status.st_uid == os.geteuid()
        forbidden_bits = stat.S_IMODE(mode) & (0o066 if is_owned_by_user else 0o026)
        if forbidden_bits:
            access = "read" if forbidden_bits & 0o044 else "write"
            raise ValueError(
                f"others can {access} it (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
            )
        return file.read(max_bytes)
