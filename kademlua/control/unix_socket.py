"""Where a control socket stands in the file system: how it comes there, and is found."""

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
"""Its name in a data directory."""
_MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""Bytes of a path that fit into a socket's address."""
_FD_DIRECTORY = "/proc/self/fd"
"""Where Linux has what is open."""
_BACKLOG = 64
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group, as Linux gives them."""
_CONNECT_TIMEOUT = 10.0
"""Seconds; it takes longer only where the process accepts nobody any more."""


class ControlError(KademluaError):
    """There is no control socket, or there can't be one; the message is one line."""


class UnixListener:
    """A socket that this process listens on, and its file."""

    def __init__(self, path: Path) -> None:
        """Listen at a path, where only this user may connect. The socket of a process that is
        gone gives way; ControlError where one is listening, or nothing can be there."""
        self.path = path
        _check_free(path)
        temporary_path = path.with_name(path.name + ".new")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            temporary_path.unlink(missing_ok=True)
            previous_umask = os.umask(0o177)  # it is born with its mode
            try:
                with _short_path(temporary_path) as name:
                    self.socket.bind(name)
            finally:
                os.umask(previous_umask)
            self.socket.listen(_BACKLOG)
            self._identity = _identity(temporary_path)
            temporary_path.rename(path)  # whoever finds it is heard
        except (OSError, ControlError) as error:
            self.socket.close()
            reason = getattr(error, "strerror", None) or error
            raise ControlError(f"no control socket at {path}: {reason}") from None

    def close(self) -> None:
        """Listen no more, and take the file away unless it is another's by now."""
        self.socket.close()
        try:
            if _identity(self.path) == self._identity:
                self.path.unlink()
        except OSError:
            pass


def connect(path: Path) -> socket.socket:
    """A connection to the process that listens at a path; OSError, or ControlError where the
    path is too long for this system."""
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
    """Process and user at the other end of a connection; 0 and None where the system does not
    say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0, None
    credentials = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(credentials)
    return pid, uid


def _check_free(path: Path) -> None:
    """ControlError where something is at a path that may not be replaced."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ControlError(f"no control socket at {path}: something else is there")
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
    """A name for a path that fits into a socket's address: itself, or by way of a file
    descriptor of its directory, for as long as this is entered."""
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
