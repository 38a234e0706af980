"""The client of a control socket trusts only processes of its own user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kademlua.control import unix_socket
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import ControlError, UnixListener, UntrustedSocket

OTHER_UID = 54_321
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[UnixListener]:
    here = UnixListener(tmp_path / "socket")
    yield here
    here.close()


def test_socket_of_the_same_user_is_trusted(listener: UnixListener) -> None:
    listener.path.parent.chmod(0o777)  # who listens is known
    with ControlClient(listener.path) as client:
        assert client.pid in (0, os.getpid())
    listener.path.parent.chmod(0o700)


def test_missing_socket_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="there is no such socket"):
        ControlClient(tmp_path / "socket")


def test_process_of_another_user_is_not_trusted(
    listener: UnixListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own_uid + 1)
    open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(UntrustedSocket, match=f"{listener.path} belongs to another user"):
        ControlClient(listener.path)
    if open_files:
        assert len(os.listdir("/proc/self/fd")) == open_files


# Systems that do not report the peer's user.


@pytest.fixture
def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_socket, "peer_credentials", lambda _: (0, None))


@pytest.mark.usefixtures("without_credentials")
def test_owner_of_the_file_counts(listener: UnixListener) -> None:
    listener.path.parent.chmod(0o755)
    ControlClient(listener.path).close()


@pytest.mark.usefixtures("without_credentials")
def test_directory_that_others_can_change_is_not_trusted(listener: UnixListener) -> None:
    listener.path.parent.chmod(0o777)
    with pytest.raises(UntrustedSocket, match="other users can replace"):
        ControlClient(listener.path)
    listener.path.parent.chmod(0o1777)  # as /tmp: only the owner of a file can replace it
    ControlClient(listener.path).close()
    listener.path.parent.chmod(0o700)


@only_root
@pytest.mark.usefixtures("without_credentials")
def test_file_of_another_user_is_not_trusted(
    listener: UnixListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(listener.path, OTHER_UID, -1)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_UID + 1)
    with pytest.raises(UntrustedSocket, match="belongs to another user"):
        ControlClient(listener.path)


@only_root
@pytest.mark.usefixtures("without_credentials")
def test_directory_of_another_user_is_not_trusted(listener: UnixListener) -> None:
    os.chown(listener.path.parent, OTHER_UID, -1)
    with pytest.raises(UntrustedSocket, match="other users can replace"):
        ControlClient(listener.path)


# Root may connect to the nodes of all users.

_LISTEN_AS_OTHER = f"""
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
os.chown(sys.argv[1], {OTHER_UID}, -1)
os.setuid({OTHER_UID})
listening.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def socket_of_other(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "theirs" / "socket"
    path.parent.mkdir()
    os.chown(path.parent, OTHER_UID, -1)
    with subprocess.Popen(
        [sys.executable, "-c", _LISTEN_AS_OTHER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield path
        assert process.stdin is not None
        process.stdin.close()


@only_root
def test_root_connects_to_the_node_of_another_user(socket_of_other: Path) -> None:
    ControlClient(socket_of_other).close()


@only_root
@pytest.mark.parametrize(("owner", "mode"), [(OTHER_UID + 1, 0o755), (OTHER_UID, 0o777)])
def test_root_does_not_trust_a_path_that_third_users_can_change(
    socket_of_other: Path, owner: int, mode: int
) -> None:
    os.chown(socket_of_other.parent, owner, -1)
    socket_of_other.parent.chmod(mode)
    with pytest.raises(UntrustedSocket, match="other users can replace"):
        ControlClient(socket_of_other)
