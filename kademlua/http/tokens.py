"""The token that opens what changes a node's state: in a file that its owner alone can read."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from kademlua.core.errors import KademluaError

FILE_NAME = "http-token"
_TOKEN = re.compile(r"[!-~]{16,256}")


class TokenError(KademluaError):
    """The file of a token can't be used; the message says why."""


def token_in(path: Path) -> str:
    """The token in a file, which is made where it is missing: mode 0600, 43 characters.

    TokenError where it can't be read or made, where others may read it, or where what is in it is
    no token of 16 to 256 characters.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _made(path)
        except FileExistsError:
            return _read(path)
    except OSError as error:
        raise TokenError(f"can't use {path}: {error.strerror}") from None


def runtime_file(port: int) -> Path:
    """Where the token of a node on a port is that keeps no data."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    # Without one of the system's there is the directory for what is temporary, which is not
    # ours alone; the name of the user keeps users apart, and the file is checked.
    temporary = Path(tempfile.gettempdir()) / f"kademlua-{os.getuid()}"
    directory = Path(base) / "kademlua" if base else temporary
    return directory / f"{FILE_NAME}-{port}"


def _made(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(token + "\n")
    return token


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
            raise TokenError(f"{path} is no file of this user's")
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise TokenError(f"others may read {path}; chmod 600 it, or remove it for a new one")
        token = file.read(1_024).strip()
    if _TOKEN.fullmatch(token) is None:
        raise TokenError(f"{path} has no token of 16 to 256 characters; remove it for a new one")
    return token
