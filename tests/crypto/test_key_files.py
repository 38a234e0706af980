"""Key files: private to their owner, and never overwritten."""

from __future__ import annotations

import os
import resource
import signal
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from kademlua import KeyFileError, read_network_key
from kademlua.crypto.key_files import write_network_key

KEY = bytes(range(32))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "network.key"
    write_network_key(path, KEY)
    return path


def test_a_key_is_read_as_it_was_written(key_file: Path) -> None:
    assert key_file.read_bytes() == KEY.hex().encode() + b"\n"
    assert read_network_key(key_file) == KEY
    assert read_network_key(str(key_file)) == KEY


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_key_file_is_readable_by_its_owner_only(tmp_path: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        write_network_key(tmp_path / "key", KEY)
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_no_key_is_overwritten(key_file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for path in (key_file, link):
        with pytest.raises(KeyFileError, match=f"^{path}: File exists$"):
            write_network_key(path, b"x" * 32)
    assert read_network_key(key_file) == KEY
    assert not (tmp_path / "nowhere").exists()


def test_failed_write_leaves_no_partial_key(tmp_path: Path) -> None:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, former[1]))
    try:
        with pytest.raises(KeyFileError, match="too large"):
            write_network_key(tmp_path / "key", KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not (tmp_path / "key").exists()


def test_unwritable_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"none/key: No such file or directory$"):
        write_network_key(tmp_path / "none" / "key", KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o666, 0o060])
def test_file_open_to_other_users_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    what = "read" if mode & 0o044 else "write"
    with pytest.raises(KeyFileError) as caught:
        read_network_key(key_file)
    assert str(caught.value) == (
        f"{key_file}: others can {what} it (mode {mode:04o}): chmod 600 {key_file}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_the_owner_is_read(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert read_network_key(key_file) == KEY


@pytest.mark.parametrize(("mode", "is_read"), [(0o440, True), (0o444, False), (0o460, False)])
def test_a_file_that_another_user_wrote_for_this_one(
    key_file: Path, mode: int, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: key_file.stat().st_uid + 1)
    with nullcontext() if is_read else pytest.raises(KeyFileError, match="mount it with mode 0440"):
        assert read_network_key(key_file) == KEY


@pytest.mark.parametrize(("mode", "is_read"), [(0o440, True), (0o444, False), (0o460, False)])
def test_a_file_of_this_user_on_a_mount_that_cannot_be_written(
    key_file: Path, mode: int, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes mounts a secret for a container that runs as root."""
    key_file.chmod(mode)
    monkeypatch.setattr(os, "fstatvfs", lambda fd: SimpleNamespace(f_flag=os.ST_RDONLY))
    with nullcontext() if is_read else pytest.raises(KeyFileError, match="mount it with mode 0440"):
        assert read_network_key(key_file) == KEY


def test_path_in_the_command_of_an_error_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "my key"
    write_network_key(path, KEY)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match=f"chmod 600 '{path}'$"):
        read_network_key(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"secret\n", b"5" * 63, b"5" * 66, b"5" * 64 + b"\nmore", b"\0" * 32, b"5" * 10_000],
)
def test_invalid_key_is_refused_without_revealing_it(key_file: Path, content: bytes) -> None:
    key_file.write_bytes(content)
    with pytest.raises(KeyFileError) as caught:
        read_network_key(key_file)
    assert str(caught.value) == f"{key_file}: a network key is 64 hex digits in one line"


def test_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match=r"pipe: not a file$"):
        read_network_key(tmp_path / "pipe")
    with pytest.raises(KeyFileError, match=r"Is a directory$"):
        read_network_key(tmp_path)
    with pytest.raises(KeyFileError, match=r"missing: No such file or directory$"):
        read_network_key(tmp_path / "missing")
