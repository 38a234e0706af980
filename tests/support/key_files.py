"""Encrypted key files, of which each is encrypted once: that takes some tenths of a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kademlua.crypto.key_files import KeyKind, write_key


def write_encrypted_key(path: Path, kind: KeyKind, key: bytes, passphrase: str) -> None:
    """Write the file that ``write_key`` writes; those of the same key are equal."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_encrypted_file(kind, key, passphrase))


@cache
def _encrypted_file(kind: KeyKind, key: bytes, passphrase: str) -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "key"
        write_key(path, kind, key, passphrase)
        return path.read_bytes()
