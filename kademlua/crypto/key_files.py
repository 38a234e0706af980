"""Key files: created for their owner only, and refused if other users could read them."""

from __future__ import annotations

import re
from pathlib import Path

from kademlua.core.errors import KeyFileError
from kademlua.core.security import network_key
from kademlua.crypto.private_files import create_private_file, read_private_file

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
