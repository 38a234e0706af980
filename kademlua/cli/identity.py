"""The identity of a user's clients: a key by which they own their values together.

Each client runs for a moment on a port of its own, and values belong to an id and an address. With
the same key, the clients have the same id, and prove that earlier values are theirs.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from kademlua.cli.data_dirs import default_data_dir
from kademlua.cli.extras import install_hint
from kademlua.cli.key_file_input import load_signing_key
from kademlua.cli.options import CONTROL_PORT
from kademlua.core.errors import CryptoUnavailable
from kademlua.crypto.signing import SigningKey, require_crypto

IDENTITY_FILE = "identity.key"
"""The file of the key, beside the default data directories."""


class NoIdentity(click.ClickException):
    """The user's clients cannot have an identity; the message says why."""


def client_identity() -> SigningKey:
    """Return this user's key; the first use creates it.

    Raises:
        NoIdentity: the package for signatures is missing, the user has no home directory, or no
            file can be created there.
        KeyFileError: the file is damaged, or other users can read it.
    """
    try:
        require_crypto()
    except CryptoUnavailable:
        raise NoIdentity(install_hint("cryptography", "crypto")) from None
    try:
        path = default_data_dir(CONTROL_PORT).parent / IDENTITY_FILE
    except click.ClickException:
        raise NoIdentity("the user has no home directory for the key") from None
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise NoIdentity(f"make {path.parent} writable: {error.strerror}") from None
    return load_signing_key(path)


def _create(path: Path) -> None:
    """Write a new key as a whole, unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".identity-", dir=path.parent) as directory:
        key_file = Path(directory) / IDENTITY_FILE
        SigningKey.generate().save(key_file)
        with suppress(FileExistsError):
            os.link(key_file, path)
