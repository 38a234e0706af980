"""Key files: private to their owner, and never overwritten."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from kademlua import KeyFileError, PassphraseRequired, Secret, SigningKey, read_network_key
from kademlua.crypto.key_files import KeyKind, kind_of, read_key, rewrite_key, write_key
from tests.support.key_files import write_encrypted_key

KEY = bytes(range(32))
PASSPHRASE = "correct horse battery"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "network.key"
    write_key(path, KeyKind.NETWORK, KEY)
    return path


def test_a_key_is_read_as_it_was_written(key_file: Path) -> None:
    assert key_file.read_bytes() == KEY.hex().encode() + b"\n"
    assert read_network_key(key_file) == KEY
    assert read_network_key(str(key_file)) == KEY


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_key_file_is_readable_by_its_owner_only(tmp_path: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        write_key(tmp_path / "key", KeyKind.NETWORK, KEY)
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_no_key_is_overwritten(key_file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for path in (key_file, link):
        with pytest.raises(KeyFileError, match=f"^{path}: File exists$"):
            write_key(path, KeyKind.NETWORK, b"x" * 32)
    assert read_network_key(key_file) == KEY
    assert not (tmp_path / "nowhere").exists()


def test_failed_write_leaves_no_partial_key(tmp_path: Path) -> None:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, former[1]))
    try:
        with pytest.raises(KeyFileError, match="too large"):
            write_key(tmp_path / "key", KeyKind.NETWORK, KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not (tmp_path / "key").exists()


def test_unwritable_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"none/key: No such file or directory$"):
        write_key(tmp_path / "none" / "key", KeyKind.NETWORK, KEY)


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
    write_key(path, KeyKind.NETWORK, KEY)
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


@pytest.mark.parametrize("text", ["{}", "secret {}", "network-key {}\n", "0x{},", "keys/{}"])
def test_key_in_the_place_of_a_file_is_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / text.format("5A" * 32)
    for read in (read_network_key, kind_of, Secret.load, SigningKey.load):
        with pytest.raises(KeyFileError) as caught:
            read(path)
        assert str(caught.value) == "name a file with a key, not the key itself"
    write_key(tmp_path / ("5A" * 32), KeyKind.NETWORK, KEY)
    assert read_network_key(tmp_path / ("5A" * 32)) == KEY


# Files that a passphrase protects.


@pytest.mark.parametrize("kind", KeyKind)
def test_only_the_passphrase_opens_an_encrypted_file(tmp_path: Path, kind: KeyKind) -> None:
    path = tmp_path / "key"
    write_key(path, kind, KEY, PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert re.fullmatch(rf"encrypted-{kind.value.decode()} [0-9a-f]{{176}}\n", text)
    assert KEY.hex() not in text
    assert read_key(path, kind, PASSPHRASE) == KEY
    assert kind_of(path) is kind
    with pytest.raises(PassphraseRequired, match=f"^{path}: a passphrase protects this {kind}$"):
        read_key(path, kind)
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        read_key(path, kind, PASSPHRASE.upper())


def test_keys_load_what_they_saved_with_a_passphrase(tmp_path: Path) -> None:
    signing_key, secret = SigningKey(KEY), Secret(KEY)
    signing_key.save(tmp_path / "signing.key", PASSPHRASE)
    secret.save(tmp_path / "secret.key", PASSPHRASE)
    loaded = SigningKey.load(tmp_path / "signing.key", PASSPHRASE)
    assert loaded.public_key == signing_key.public_key
    assert Secret.load(tmp_path / "secret.key", PASSPHRASE).fingerprint == secret.fingerprint


def test_equal_keys_are_encrypted_differently(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_key(tmp_path / name, KeyKind.SECRET, KEY, PASSPHRASE)
    hex_digits = [(tmp_path / name).read_text().split()[1] for name in ("a", "b")]
    salts = {each[:32] for each in hex_digits}
    nonces = {each[32:80] for each in hex_digits}
    assert (len(salts), len(nonces)) == (2, 2)


def test_encrypted_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_encrypted_key(path, KeyKind.SECRET, KEY, PASSPHRASE)
    with pytest.raises(KeyFileError, match="not the file of a signing key"):
        SigningKey.load(path, PASSPHRASE)
    path.write_bytes(path.read_bytes().replace(b"secret", b"signing-key"))
    with pytest.raises(KeyFileError, match="wrong passphrase, or a damaged file"):
        SigningKey.load(path, PASSPHRASE)


@pytest.mark.parametrize("at", [0, 40, 100, 175])
def test_changed_encrypted_file_is_refused(tmp_path: Path, at: int) -> None:
    path = tmp_path / "key"
    write_encrypted_key(path, KeyKind.SECRET, KEY, PASSPHRASE)
    word, _, digits = path.read_text().partition(" ")
    other = "1" if digits[at] == "0" else "0"
    path.write_text(f"{word} {digits[:at]}{other}{digits[at + 1 :]}")
    with pytest.raises(KeyFileError, match="wrong passphrase, or a damaged file"):
        read_key(path, KeyKind.SECRET, PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"00" * 87, b"00" * 89, b"00 " * 88, b"zz" * 88])
def test_malformed_encrypted_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"encrypted-secret " + content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not the file of a secret"):
        read_key(path, KeyKind.SECRET, PASSPHRASE)


def test_short_passphrase_is_refused_before_the_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 12 characters"):
        write_key(tmp_path / "key", KeyKind.SECRET, KEY, "eleven char")
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("function", ["fsync", "fchmod"])
def test_former_file_stays_if_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "our.key"
    write_key(path, KeyKind.SECRET, b"k" * 32)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(KeyFileError, match=r"our\.key: Input/output error"):
        rewrite_key(path, KeyKind.SECRET, b"n" * 32, None)
    assert [each.name for each in tmp_path.iterdir()] == ["our.key"]
    assert read_key(path, KeyKind.SECRET) == b"k" * 32


def test_replaced_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "our.key"
    write_key(path, KeyKind.SECRET, b"k" * 32)
    previous = os.umask(0o277)
    try:
        rewrite_key(path, KeyKind.SECRET, b"n" * 32, None)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path, KeyKind.SECRET) == b"n" * 32


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_replaced_file_still_belongs_to_its_owner(key_file: Path) -> None:
    os.chown(key_file, 12_345, 12_345)
    rewrite_key(key_file, KeyKind.NETWORK, KEY, None)
    assert (key_file.stat().st_uid, key_file.stat().st_gid) == (12_345, 12_345)


def test_former_file_stays_if_the_new_one_cannot_be_written(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="No space left"):
        rewrite_key(key_file, KeyKind.NETWORK, b"n" * 32, None)
    assert read_network_key(key_file) == KEY
    assert list(key_file.parent.iterdir()) == [key_file]
