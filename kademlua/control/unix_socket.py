"""Creation of a control socket in the file system, and connection to it."""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gevent import socket

from kademlua.core.errors import KademluaError

SOCKET_NAME = "control.sock"
"""The file name of the socket in a data directory."""
_MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""Maximum length of a socket path in bytes."""
_FD_DIRECTORY = "/proc/self/fd"
"""The directory of open file descriptors on Linux."""
_BACKLOG = 64
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group id, as Linux reports them."""
_CONNECT_TIMEOUT = 10.0
"""Seconds; only a process that stopped accepting connections takes longer."""


class ControlError(KademluaError):
    """A control socket is missing or cannot be created; the message is one line."""


class UntrustedSocket(KademluaError):
    """Another user's process may listen at a control socket; the message is one line."""


class UnixListener:
    """A listening socket and its file."""

    def __init__(self, path: Path) -> None:
        """Listen at a path with mode 0600; replace the socket of an exited process.

        Raises:
            ControlError: Another process listens there, or the socket cannot be created.
        """
        self.path = path
        _check_free(path)
        temporary_path = path.with_name(path.name + ".new")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            temporary_path.unlink(missing_ok=True)
            previous_umask = os.umask(0o177)  # the file must never be accessible to other users
            try:
                with _short_path(temporary_path) as name:
                    self.socket.bind(name)
            finally:
                os.umask(previous_umask)
            self.socket.listen(_BACKLOG)
            self._identity = _identity(temporary_path)
            temporary_path.rename(path)  # a visible socket must already accept connections
        except (OSError, ControlError) as error:
            self.socket.close()
            reason = getattr(error, "strerror", None) or error
            raise ControlError(f"no control socket at {path}: {reason}") from None

    def close(self) -> None:
        """Close the socket, and remove its file unless another process replaced it."""
        self.socket.close()
        try:
            if _identity(self.path) == self._identity:
                self.path.unlink()
        except OSError:
            pass


def connect(path: Path) -> socket.socket:
    """Connect to the process that listens at a path.

    Raises:
        OSError: The connection failed.
        ControlError: The path is too long for this system.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short_path(path) as name:
            sock.settimeout(_CONNECT_TIMEOUT)
            sock.connect(name)
            sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def peer_credentials(sock: socket.socket) -> tuple[int, int | None]:
    """Return process and user id of the peer; 0 and None if the system does not report them."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0, None
    credentials = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return pid, uid


def check_server(sock: socket.socket, path: Path) -> None:
    """Check that a connected socket leads to a node of this user.

    Root may connect to the nodes of all users. The path then must be one that only the node's
    user, or root, can change. This also applies if the system does not report the peer's user: the
    owner of the file counts as the node's user.

    Raises:
        UntrustedSocket: Another user may be at the other end.
    """
    own_uid = os.geteuid()
    _, uid = peer_credentials(sock)
    if uid == own_uid:
        return
    file, directory = path.lstat(), path.parent.stat()
    if uid is None:
        uid = file.st_uid
    if own_uid not in (0, uid):
        raise UntrustedSocket(f"the node at {path} belongs to another user")
    is_replaceable = directory.st_mode & stat.S_IWOTH and not directory.st_mode & stat.S_ISVTX
    if file.st_uid != uid or directory.st_uid not in (0, uid) or is_replaceable:
        raise UntrustedSocket(f"other users can replace {path}")


def _check_free(path: Path) -> None:
    """Raise ControlError if a path exists and must not be replaced."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ControlError(f"no control socket at {path}: another file is there")
        connect(path).close()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return
        raise ControlError(f"no control socket at {path}: {error.strerror}") from None
    raise ControlError(f"{path} is in use by another process")


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """Yield a name for the path that fits into a socket address.

    A long path is named through a file descriptor of its directory, valid inside the block.
    """
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        yield str(path)
        return
    if not os.path.isdir(_FD_DIRECTORY):
        raise ControlError("the path is too long for a socket")
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = f"{_FD_DIRECTORY}/{fd}/{path.name}"
        if len(os.fsencode(name)) > _MAX_PATH_BYTES:
            raise ControlError("the name is too long for a socket")
        yield name
    finally:
        os.close(fd)
