"""Key files: created for their owner only, perhaps encrypted, and refused if others can read them.

A file is one line of hex digits, after a word that says what they are, except for a network key
without a passphrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from kademlua.core.errors import KeyFileError, PassphraseRequired
from kademlua.core.security import network_key
from kademlua.crypto.passphrase import OVERHEAD_BYTES, decrypt, encrypt, require_passphrase
from kademlua.crypto.private_files import (
    create_private_file,
    read_private_file,
    replace_private_file,
)

_KEY_BYTES = 32
_ENCRYPTED = b"encrypted-"
"""Before the word of a file that a passphrase protects."""
_MAX_FILE_BYTES = 256
_HAS_KEY = re.compile(rf"[0-9a-fA-F]{{{2 * _KEY_BYTES}}}")


class KeyKind(Enum):
    """What a key file holds; the value is its word, so that no other file is read as one."""

    NETWORK = b"network-key"
    SIGNING = b"signing-key"
    SECRET = b"secret"

    def __str__(self) -> str:
        return self.value.decode().replace("-", " ")


def read_network_key(path: str | Path, passphrase: str | None = None) -> bytes:
    """Return the 32-byte network key in a file that ``kademlua keygen --network`` wrote.

    Raises:
        PassphraseRequired: The file is encrypted, and there is no ``passphrase``.
        KeyFileError: It cannot be read, holds no network key, or is accessible to other users, or
            the passphrase is wrong. The message shows nothing of the contents.
    """
    return read_key(path, KeyKind.NETWORK, passphrase)


def read_key(path: str | Path, kind: KeyKind, passphrase: str | None = None) -> bytes:
    """Return the 32-byte key of a kind in a file; errors as for ``read_network_key``."""
    with _key_file_errors(path):
        line = read_private_file(path, _MAX_FILE_BYTES)
        encrypted = _parse(line, _ENCRYPTED + kind.value, _KEY_BYTES + OVERHEAD_BYTES)
        if encrypted is not None:
            if passphrase is None:
                raise PassphraseRequired(f"{path}: a passphrase protects this {kind}")
            key = decrypt(encrypted, passphrase, _ENCRYPTED + kind.value)
            if key is None:
                raise ValueError("wrong passphrase, or a damaged file")
            return key
        if kind is KeyKind.NETWORK:
            return network_key.parse_key(line)
        key = _parse(line, kind.value, _KEY_BYTES)
        if key is None:
            raise ValueError(f"not the file of a {kind}")
        return key


def write_key(path: str | Path, kind: KeyKind, key: bytes, passphrase: str | None = None) -> None:
    """Create the file of a key, readable only by its owner, and encrypted if with a passphrase.

    Raises:
        ValueError: The passphrase has fewer than 12 characters.
        KeyFileError: The file exists or cannot be written: no key is ever overwritten.
    """
    line = _line_of(kind, key, passphrase)
    with _key_file_errors(path):
        create_private_file(path, line)


def rewrite_key(path: str | Path, kind: KeyKind, key: bytes, passphrase: str | None) -> None:
    """Replace the file of a key by one with another passphrase, or without one.

    After an error, the former file is still there. Its bytes may stay on the disk.

    Raises:
        ValueError: The passphrase has fewer than 12 characters.
        KeyFileError: The file cannot be replaced.
    """
    line = _line_of(kind, key, passphrase)
    with _key_file_errors(path):
        replace_private_file(path, line)


def kind_of(path: str | Path) -> KeyKind:
    """Return what a file holds, if it is a key file; KeyFileError if it cannot be read."""
    word = _word_of(path).removeprefix(_ENCRYPTED)
    return next((kind for kind in KeyKind if kind.value == word), KeyKind.NETWORK)


def is_encrypted(path: str | Path) -> bool:
    """Return whether a passphrase protects a key file; KeyFileError if it cannot be read."""
    return _word_of(path).startswith(_ENCRYPTED)


def _word_of(path: str | Path) -> bytes:
    with _key_file_errors(path):
        return read_private_file(path, _MAX_FILE_BYTES).partition(b" ")[0]


def _line_of(kind: KeyKind, key: bytes, passphrase: str | None) -> bytes:
    """Return what a key file has; ValueError if the passphrase is too short."""
    if passphrase is not None:
        require_passphrase(passphrase)
        word = _ENCRYPTED + kind.value
        return b"%b %b\n" % (word, encrypt(key, passphrase, word).hex().encode())
    if kind is KeyKind.NETWORK:
        return network_key.format_key(key)
    return b"%b %b\n" % (kind.value, key.hex().encode())


def _parse(line: bytes, word: bytes, size: int) -> bytes | None:
    """Return the bytes whose hex digits follow a word in the only line; None for another line."""
    found_word, _, digits = line.rstrip(b"\r\n").partition(b" ")
    if found_word != word or len(digits) != 2 * size or not digits.isalnum():
        return None
    try:
        return bytes.fromhex(digits.decode())
    except ValueError:
        return None


@contextmanager
def _key_file_errors(path: str | Path) -> Iterator[None]:
    """Make errors name the file, unless what should be its name may be a key."""
    try:
        yield
    except OSError as error:
        if _HAS_KEY.search(str(path)):  # the user may have passed what is in the file
            raise KeyFileError("name a file with a key, not the key itself") from None
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
