"""The token that opens what changes a node's state: in a file that its owner alone can read."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from kademlua.core.errors import KeyFileError
from kademlua.crypto.key_files import create_private_file, read_private_file

TOKEN_FILE_NAME = "http-token"
_TOKEN_PATTERN = re.compile(rb"[!-~]{16,256}")
_MAX_FILE_BYTES = 1_024


def load_or_create_token(path: Path) -> str:
    """The token in a file, which is made where it is missing: mode 0600, 43 characters.

    KeyFileError where it can't be read or made, where others may read it, or where what is in it
    is no token of 16 to 256 characters.
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
    """Where the token of a node on a port is that keeps no data.

    KeyFileError where others may put something there.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base:
        return Path(base) / "kademlua" / f"{TOKEN_FILE_NAME}-{port}"
    # The directory for what is temporary is everybody's; so the one in it has to be ours.
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
