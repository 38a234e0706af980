"""The file of a control socket: its mode, what it replaces, and long paths."""

import os
import socket
import stat

import pytest

from kademlua.control import unix_socket
from kademlua.control.unix_socket import ControlError, UnixListener, connect, peer_credentials


def test_only_the_same_user_may_connect(tmp_path):
    former = os.umask(0)
    try:
        here = UnixListener(tmp_path / "socket")
        assert os.umask(0) == 0  # restored
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["socket"]
    with connect(tmp_path / "socket") as sock:
        process, user = peer_credentials(sock)
    assert process in (0, os.getpid())
    assert user in (None, os.geteuid())
    here.close()
    assert os.listdir(tmp_path) == []


def test_socket_of_an_ended_process_is_replaced(tmp_path):
    path = tmp_path / "socket"
    for left in (path, tmp_path / "socket.new"):  # the process may be killed at any time
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(left))
    here = UnixListener(path)
    connect(path).close()
    assert os.listdir(tmp_path) == ["socket"]
    here.close()


def test_socket_of_a_listening_process_is_not_replaced(tmp_path):
    here = UnixListener(tmp_path / "socket")
    with pytest.raises(ControlError, match="socket is in use by another process"):
        UnixListener(tmp_path / "socket")
    connect(tmp_path / "socket").close()
    here.close()


def test_other_files_are_not_replaced(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ControlError, match="another file is there"):
        UnixListener(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ControlError, match="No such file or directory"):
        UnixListener(tmp_path / "missing" / "socket")


def test_close_leaves_a_file_that_replaced_the_socket(tmp_path):
    path = tmp_path / "socket"
    here = UnixListener(path)
    path.unlink()
    path.write_text("another's")
    here.close()
    assert path.read_text() == "another's"


def test_path_may_be_longer_than_a_socket_address(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    here = UnixListener(deep / "socket")
    connect(deep / "socket").close()
    here.close()
    assert os.listdir(deep) == []
    with pytest.raises(ControlError, match="the name is too long for a socket"):
        UnixListener(deep / ("n" * 100))
    with pytest.raises(ControlError, match="the name is too long for a socket"):
        connect(deep / ("n" * 110))
    assert len(os.listdir("/proc/self/fd")) == before


def test_long_path_without_proc_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(unix_socket, "_MAX_PATH_BYTES", 10)
    monkeypatch.setattr(unix_socket, "_FD_DIRECTORY", str(tmp_path / "none"))
    with pytest.raises(ControlError, match="the path is too long for a socket"):
        UnixListener(tmp_path / "socket")
