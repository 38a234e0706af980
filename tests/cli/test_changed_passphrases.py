"""``keygen --change-passphrase`` and ``--remove-passphrase``, and prompts that end by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kademlua.crypto.key_files import KeyKind, read_key, write_key
from tests.cli.conftest import Launcher
from tests.cli.test_passphrases import enter
from tests.support.key_files import write_encrypted_key

OLD, NEW = "correct horse battery", "another horse battery"
KEY = bytes(range(32))
CHANGE = ("keygen", "--change-passphrase", "our.key")
REMOVE = ("keygen", "--remove-passphrase", "our.key")

Failed = Callable[[subprocess.CompletedProcess[bytes], int], str]


@pytest.fixture
def passphrase_files(launch: Launcher) -> None:
    """Files with the old and the new passphrase, named by the environment."""
    for variable, text in (("PASSPHRASE_FILE", OLD), ("NEW_PASSPHRASE_FILE", NEW)):
        path = launch.home / variable
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        launch.env[f"KADEMLUA_{variable}"] = str(path)


def files(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir() if not each.name.endswith("FILE")}


@pytest.mark.parametrize(
    ("kind", "old"), [(KeyKind.NETWORK, None), (KeyKind.SIGNING, OLD), (KeyKind.SECRET, OLD)]
)
@pytest.mark.usefixtures("passphrase_files")
def test_file_gets_a_new_passphrase(launch: Launcher, kind: KeyKind, old: str | None) -> None:
    path = launch.home / "our.key"
    write_key(path, kind, KEY, old)
    fingerprint = launch.run("keygen", "--fingerprint", "our.key").stdout.decode()
    done = launch.run(*CHANGE)
    assert done.stdout.decode() == (
        f"a new passphrase protects the {kind} in our.key\nits fingerprint is {fingerprint}"
    )
    assert read_key(path, kind, NEW) == KEY
    assert path.stat().st_mode & 0o777 == 0o600
    assert files(launch.home) == {"our.key"}
    shown = (done.stdout + done.stderr).decode()
    assert not any(each in shown for each in (KEY.hex(), OLD, NEW))


@pytest.mark.usefixtures("passphrase_files")
def test_passphrase_is_removed(launch: Launcher, failed: Failed) -> None:
    path = launch.home / "our.key"
    write_encrypted_key(path, KeyKind.SECRET, KEY, OLD)
    done = launch.run(*REMOVE)
    assert done.stdout.startswith(b"no passphrase protects the secret in our.key\n")
    assert read_key(path, KeyKind.SECRET) == KEY
    assert path.stat().st_mode & 0o777 == 0o600
    line = failed(launch.run(*REMOVE), 1)
    assert line == "Error: our.key: no passphrase protects this secret\n"


@pytest.mark.usefixtures("passphrase_files")
def test_file_stays_as_it_was_after_an_error(launch: Launcher, failed: Failed) -> None:
    path = launch.home / "our.key"
    write_encrypted_key(path, KeyKind.SECRET, KEY, OLD)
    before = path.read_bytes()
    new, old = launch.home / "NEW_PASSPHRASE_FILE", launch.home / "PASSPHRASE_FILE"
    new.write_text("short")
    line = failed(launch.run(*CHANGE), 1)
    assert line == "Error: a passphrase has at least 12 characters\n"
    new.write_text(NEW)
    old.write_text("wrong")
    for command in (CHANGE, REMOVE):
        line = failed(launch.run(*command), 1)
        assert line == "Error: our.key: wrong passphrase, or a damaged file\n"
    del launch.env["KADEMLUA_NEW_PASSPHRASE_FILE"]
    old.write_text(OLD)
    assert failed(launch.run(*CHANGE), 2) == (
        "Error: --change-passphrase needs a passphrase, and there is no terminal to ask for it; set"
        " KADEMLUA_NEW_PASSPHRASE_FILE to a file that contains it\n"
    )
    assert path.read_bytes() == before
    assert files(launch.home) == {"our.key"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any directory")
@pytest.mark.usefixtures("passphrase_files")
def test_directory_that_cannot_be_written_is_reported(launch: Launcher, failed: Failed) -> None:
    directory = launch.home / "keys"
    directory.mkdir()
    write_encrypted_key(directory / "our.key", KeyKind.SECRET, KEY, OLD)
    directory.chmod(0o500)
    line = failed(launch.run("keygen", "--change-passphrase", "keys/our.key"), 1)
    directory.chmod(0o700)
    assert line == "Error: keys/our.key: Permission denied\n"
    assert read_key(directory / "our.key", KeyKind.SECRET, OLD) == KEY


@pytest.mark.usefixtures("passphrase_files")
def test_link_still_leads_to_the_file(launch: Launcher) -> None:
    write_encrypted_key(launch.home / "real.key", KeyKind.SECRET, KEY, OLD)
    (launch.home / "our.key").symlink_to("real.key")
    assert launch.run(*CHANGE).returncode == 0
    assert (launch.home / "our.key").is_symlink()
    assert read_key(launch.home / "real.key", KeyKind.SECRET, NEW) == KEY


def test_terminal_asks_for_the_old_and_twice_for_the_new_one(launch: Launcher) -> None:
    write_encrypted_key(launch.home / "our.key", KeyKind.SIGNING, KEY, OLD)
    terminal = launch.terminal(*CHANGE)
    enter(terminal, "Passphrase of our.key: ", OLD)
    enter(terminal, "New passphrase: ", NEW)
    enter(terminal, "Repeat for confirmation: ", NEW)
    terminal.out.expect("a new passphrase protects the signing key")
    assert terminal.wait() == 0
    assert read_key(launch.home / "our.key", KeyKind.SIGNING, NEW) == KEY


def test_options_exclude_each_other(launch: Launcher, failed: Failed) -> None:
    assert "exclude each other" in failed(launch.run(*CHANGE, "--remove-passphrase"), 2)
    assert "is for a new key" in failed(launch.run(*CHANGE, "--passphrase"), 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_terminal_shows_input_again_after_a_signal(launch: Launcher, number: int) -> None:
    write_encrypted_key(launch.home / "our.key", KeyKind.SIGNING, KEY, OLD)
    terminal = launch.terminal("keygen", "--public", "our.key")
    terminal.out.expect("Passphrase of our.key: ")
    assert not terminal.has_echo()
    terminal.popen.send_signal(signal.SIGTSTP)  # ignored: the shell would show what is typed
    terminal.popen.send_signal(number)
    assert terminal.wait() == 128 + number
    assert terminal.has_echo()
