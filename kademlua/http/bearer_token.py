"""The HTTP bearer token, in a file that only its owner can read."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from kademlua.core.errors import KeyFileError
from kademlua.crypto.private_files import create_private_file, read_private_file

TOKEN_FILE_NAME = "http-token"
_TOKEN_PATTERN = re.compile(rb"[!-~]{16,256}")
_MAX_FILE_BYTES = 1_024


def load_or_create_token(path: Path) -> str:
    """Return the token in a file; create a missing file with mode 0600 and 43 characters.

    Raises:
        KeyFileError: The file is unreadable, accessible to other users, or does not have a token
            of 16 to 256 characters.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_urlsafe(32)
        try:
            create_private_file(path, token.encode() + b"\n")
            return token
        except FileExistsError:
            return _parse_token(read_private_file(path, _MAX_FILE_BYTES))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None


def _parse_token(text: bytes) -> str:
    match = _TOKEN_PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError("no token of 16 to 256 characters; remove it for a new one")
    return match[0].decode()


def runtime_token_path(port: int) -> Path:
    """Return the token path of a node without a data directory.

    Raises:
        KeyFileError: Other users can write to the directory.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base:
        return Path(base) / "kademlua" / f"{TOKEN_FILE_NAME}-{port}"
    # Every user can write to the temporary directory: check the owner of the subdirectory.
    directory = Path(tempfile.gettempdir()) / f"kademlua-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise KeyFileError(f"{directory}: {error.strerror}") from None
    is_owned_by_user = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_owned_by_user or stat.S_IMODE(status.st_mode) & 0o022:
        raise KeyFileError(f"{directory}: others may write there; --http-token FILE is elsewhere")
    return directory / f"{TOKEN_FILE_NAME}-{port}"
