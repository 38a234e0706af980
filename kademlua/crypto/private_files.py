"""Files that only their owner can access: keys, and what is as secret as a key."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FORBIDDEN_BITS = 0o066
"""A file of this user is accessible to no other one."""
_FORBIDDEN_MOUNTED_BITS = 0o026
"""A file that systemd or Kubernetes mounts may be readable by its group: they give access so."""
_FORBIDDEN_DATA_BITS = 0o006


def create_private_file(path: str | Path, data: bytes) -> None:
    """Create a file readable only by its owner; OSError if it exists or cannot be created."""
    with _new_file(path) as file:
        file.write(data)


def replace_private_file(path: str | Path, data: bytes) -> None:
    """Replace a file by one readable only by its owner, which stays the same.

    After an error or a power failure, the former file is still there, or the new one. Hard links
    still lead to the former one.

    Raises:
        OSError: It cannot be written, or there is none.
    """
    target = Path(os.path.realpath(path))
    owner = target.stat()
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with _new_file(partial) as file:
        # By descriptor: if the other user put a link in its place, root would give its target away.
        if owner.st_uid != os.geteuid():  # root acts for another user
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        partial.replace(target)
    _sync_directory(target.parent)


@contextlib.contextmanager
def _new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Create a file readable only by its owner; remove it after an error."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, 0o600)  # a umask such as 0277 would keep the owner out
            yield file
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # do not leave half a key
        raise


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems refuse
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_private_file(path: str | Path, max_bytes: int, *, allows_pipe: bool = False) -> bytes:
    """Return at most ``max_bytes`` of a file; with ``allows_pipe`` also of a pipe, which may block.

    Raises:
        ValueError: Other users can access it; the message says what to do.
        OSError: It cannot be read.
    """
    # O_NONBLOCK: a pipe without a writer must not block the node.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if allows_pipe else os.O_NONBLOCK))
    with os.fdopen(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or (allows_pipe and stat.S_ISFIFO(mode))):
            raise ValueError("not a file")
        _require_private(fd, path)
        return file.read(max_bytes)


def require_private_data(path: Path) -> None:
    """Check that other users cannot access a file of a data directory.

    Its group may: Kubernetes gives a group access to all files of a volume (``fsGroup``).

    Raises:
        ValueError: Other users can access it; the message says what to do.
        OSError: There is no such file.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    _require_mode(mode, _FORBIDDEN_DATA_BITS, f"chmod 600 {shlex.quote(str(path))}")


def _require_private(fd: int, path: str | Path) -> None:
    """Raise ValueError if other users can access an open file, whatever is at its path now."""
    status = os.fstat(fd)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid() or os.fstatvfs(fd).f_flag & os.ST_RDONLY:
        _require_mode(mode, _FORBIDDEN_MOUNTED_BITS, "mount it with mode 0440")
    else:
        _require_mode(mode, _FORBIDDEN_BITS, f"chmod 600 {shlex.quote(str(path))}")


def _require_mode(mode: int, forbidden_bits: int, remedy: str) -> None:
    found_bits = mode & forbidden_bits
    if found_bits:
        access = "read" if found_bits & 0o044 else "write"
        raise ValueError(f"others can {access} it (mode {mode:04o}): {remedy}")
