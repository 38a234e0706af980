"""Key files: created for their owner only, and refused if other users could read them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from kademlua.core.errors import KeyFileError
from kademlua.core.security import network_key

_SIGNING_KEY_LABEL = b"signing-key"
_SECRET_LABEL = b"secret"
"""First words of key files, so that no other file is read as one."""
_HEX_KEY = re.compile(rb"[0-9a-fA-F]{64}")


def read_network_key(path: str | Path) -> bytes:
    """Return the 32-byte network key in a file of 64 hex digits.

    KeyFileError, which names the file but shows nothing of its contents, if the file cannot be
    read, holds no key, or is accessible to other users.
    """
    try:
        return network_key.parse_key(read_private_file(path, network_key.MAX_KEY_TEXT_BYTES + 1))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None


def write_network_key(path: str | Path, key: bytes) -> None:
    """Create the file of a network key, readable only by its owner.

    KeyFileError if the file exists or cannot be written: no key is ever overwritten.
    """
    _write_key(path, network_key.format_key(key))


def read_signing_key(path: str | Path) -> bytes:
    """Return the 32-byte signing key in a file; KeyFileError as for ``read_network_key``."""
    return _read_labelled(path, _SIGNING_KEY_LABEL)


def write_signing_key(path: str | Path, secret: bytes) -> None:
    """Create the file of a signing key, like ``write_network_key``."""
    _write_labelled(path, _SIGNING_KEY_LABEL, secret)


def read_secret(path: str | Path) -> bytes:
    """Return the 32-byte secret in a file; KeyFileError as for ``read_network_key``."""
    return _read_labelled(path, _SECRET_LABEL)


def write_secret(path: str | Path, secret: bytes) -> None:
    """Create the file of a secret, like ``write_network_key``."""
    _write_labelled(path, _SECRET_LABEL, secret)


def _read_labelled(path: str | Path, label: bytes) -> bytes:
    try:
        text = read_private_file(path, len(label) + 67)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    found_label, _, digits = text.rstrip(b"\n").partition(b" ")
    if found_label != label or not _HEX_KEY.fullmatch(digits):
        raise KeyFileError(f"{path}: not the file of a {label.decode().replace('-', ' ')}")
    return bytes.fromhex(digits.decode())


def _write_labelled(path: str | Path, label: bytes, secret: bytes) -> None:
    _write_key(path, b"%b %b\n" % (label, secret.hex().encode()))


def _write_key(path: str | Path, text: bytes) -> None:
    try:
        create_private_file(path, text)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None


def create_private_file(path: str | Path, data: bytes) -> None:
    """Create a file readable only by its owner; OSError if it exists or cannot be created."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except OSError:
        os.unlink(path)  # do not leave half a key
        raise


def read_private_file(path: str | Path, max_bytes: int) -> bytes:
    """Return at most ``max_bytes`` of a file.

    ValueError if other users can access it, OSError if it cannot be read.
    """
    # O_NONBLOCK: a pipe without a writer must not block the node.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)  # of the file that is open, not of its path
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("not a file")
        # Kubernetes writes secrets as another user, and grants access through a group.
        is_owned_by_user = status.st_uid == os.geteuid()
        forbidden_bits = stat.S_IMODE(mode) & (0o066 if is_owned_by_user else 0o026)
        if forbidden_bits:
            access = "read" if forbidden_bits & 0o044 else "write"
            raise ValueError(
                f"others can {access} it (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
            )
        return file.read(max_bytes)
