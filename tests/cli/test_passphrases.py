"""Encrypted key files: ``keygen --passphrase``, and the commands that read such files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kademlua.crypto.key_files import KeyKind, read_key
from tests.cli.conftest import TIMEOUT, Launcher, Terminal
from tests.support.key_files import write_encrypted_key

PASSPHRASE = "correct horse battery"
KEY = bytes(range(32))

Failed = Callable[[subprocess.CompletedProcess[bytes], int], str]


@pytest.fixture
def passphrase_file(launch: Launcher) -> Path:
    path = launch.home / "passphrase"
    path.write_text(f"{PASSPHRASE}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def key_file(launch: Launcher) -> Callable[[KeyKind], str]:
    """Write an encrypted key of a kind, and return the name of its file."""

    def write(kind: KeyKind) -> str:
        write_encrypted_key(launch.home / "our.key", kind, KEY, PASSPHRASE)
        return "our.key"

    return write


def enter(terminal: Terminal, prompt: str, text: str) -> None:
    terminal.out.expect(prompt)
    assert not terminal.has_echo()
    terminal.type(f"{text}\n")


@pytest.mark.parametrize(
    ("option", "kind"),
    [((), KeyKind.SIGNING), (("--network",), KeyKind.NETWORK), (("--secret",), KeyKind.SECRET)],
)
def test_keygen_encrypts_with_the_passphrase_in_a_file(
    launch: Launcher, passphrase_file: Path, option: tuple[str, ...], kind: KeyKind
) -> None:
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = str(passphrase_file)
    done = launch.run("keygen", *option, "--passphrase", "our.key")
    assert done.returncode == 0, done.stderr
    key = read_key(launch.home / "our.key", kind, PASSPHRASE)
    assert key.hex() not in (done.stdout + done.stderr).decode()
    shown = launch.run("keygen", "--fingerprint", "our.key").stdout
    assert shown in done.stdout + done.stderr


def test_keygen_asks_twice_and_shows_nothing(launch: Launcher) -> None:
    terminal = launch.terminal("keygen", "--secret", "--passphrase")
    enter(terminal, "New passphrase: ", PASSPHRASE)
    enter(terminal, "Repeat for confirmation: ", "something else")
    terminal.out.expect("do not match")
    enter(terminal, "New passphrase: ", PASSPHRASE)
    enter(terminal, "Repeat for confirmation: ", PASSPHRASE)
    terminal.out.expect("its fingerprint is")
    assert terminal.wait() == 0
    assert PASSPHRASE not in terminal.out.text
    assert len(read_key(launch.home / "secret.key", KeyKind.SECRET, PASSPHRASE)) == 32


def test_command_asks_for_the_passphrase_on_the_terminal(
    launch: Launcher, key_file: Callable[[KeyKind], str]
) -> None:
    terminal = launch.terminal("keygen", "--public", key_file(KeyKind.SIGNING))
    enter(terminal, "Passphrase of our.key: ", PASSPHRASE)
    terminal.out.expect("[0-9a-f]{64}\n")
    assert terminal.wait() == 0
    terminal = launch.terminal("keygen", "--public", "our.key")
    enter(terminal, "Passphrase of our.key: ", "wrong")
    terminal.out.expect("Error: our.key: wrong passphrase, or a damaged file\n")
    assert terminal.wait() == 1
    terminal = launch.terminal("keygen", "--public", "our.key")
    terminal.out.expect("Passphrase of our.key: ")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert terminal.has_echo()


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (KeyKind.SIGNING, ("record", "put", "--sign", "our.key", "value")),
        (KeyKind.SIGNING, ("object", "put", "--sign", "our.key", "our.key")),
        (KeyKind.SIGNING, ("send", "--sign", "our.key", "00" * 32, "value")),
        (KeyKind.SIGNING, ("inbox", "--sign", "our.key")),
        (KeyKind.SIGNING, ("keygen", "--mail-address", "our.key")),
        (KeyKind.SECRET, ("keygen", "--fingerprint", "our.key")),
        (KeyKind.NETWORK, ("node", "0", "--network-key", "our.key")),
        (KeyKind.NETWORK, ("swarm", "2", "--network-key", "our.key")),
        (KeyKind.NETWORK, ("find", "greeting", "--network-key", "our.key")),
    ],
)
def test_command_without_a_terminal_says_what_to_do(
    launch: Launcher,
    failed: Failed,
    key_file: Callable[[KeyKind], str],
    kind: KeyKind,
    command: tuple[str, ...],
) -> None:
    key_file(kind)
    assert failed(launch.run(*command), 2) == (
        f"Error: our.key: a passphrase protects this {kind}, and there is no terminal to ask for"
        " it; set KADEMLUA_PASSPHRASE_FILE to a file that contains it\n"
    )


def test_keygen_without_a_terminal_writes_nothing(launch: Launcher, failed: Failed) -> None:
    assert "no terminal" in failed(launch.run("keygen", "--passphrase", "our.key"), 2)
    assert not (launch.home / "our.key").exists()
    (launch.home / "our.key").touch()
    line = failed(launch.run("keygen", "--passphrase", "our.key"), 1)
    assert line == "Error: our.key: File exists\n"


def test_nodes_and_clients_read_the_passphrase_in_a_file(
    launch: Launcher, passphrase_file: Path, key_file: Callable[[KeyKind], str]
) -> None:
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = str(passphrase_file)
    _, address = launch.node("--network-key", key_file(KeyKind.NETWORK))
    assert launch.run("ping", address, "--network-key", "our.key").returncode == 0


def test_passphrase_may_come_through_a_pipe(
    launch: Launcher, key_file: Callable[[KeyKind], str]
) -> None:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    done = subprocess.run(
        [sys.executable, "-m", "kademlua", "keygen", "--public", key_file(KeyKind.SIGNING)],
        capture_output=True,
        timeout=TIMEOUT,
        env=launch.env | {"KADEMLUA_PASSPHRASE_FILE": f"/dev/fd/{reading}"},
        cwd=launch.home,
        pass_fds=[reading],
    )
    os.close(reading)
    assert done.returncode == 0, done.stderr


def test_unusable_passphrase_file_is_reported(
    launch: Launcher,
    failed: Failed,
    passphrase_file: Path,
    key_file: Callable[[KeyKind], str],
) -> None:
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = "passphrase"
    command = ("keygen", "--public", key_file(KeyKind.SIGNING))
    passphrase_file.chmod(0o644)
    line = failed(launch.run(*command), 1)
    assert line == "Error: passphrase: others can read it (mode 0644): chmod 600 passphrase\n"
    passphrase_file.chmod(0o600)
    passphrase_file.write_bytes(b"\xff\n")
    assert failed(launch.run(*command), 1) == "Error: passphrase: a passphrase is UTF-8\n"
    passphrase_file.write_text("short\n")
    assert "wrong passphrase" in failed(launch.run(*command), 1)
    line = failed(launch.run("keygen", "--passphrase", "new.key"), 1)
    assert line == "Error: a passphrase has at least 12 characters\n"
    passphrase_file.write_text("\r\n")
    assert failed(launch.run(*command), 1) == "Error: passphrase: no passphrase in it\n"
    passphrase_file.write_text("x" * 1_025)
    line = failed(launch.run("keygen", "--passphrase", "new.key"), 1)
    assert line == "Error: passphrase: a passphrase has at most 1,024 bytes\n"


def test_passphrase_in_the_place_of_its_file_is_not_repeated(
    launch: Launcher, failed: Failed, key_file: Callable[[KeyKind], str]
) -> None:
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = PASSPHRASE
    assert failed(launch.run("keygen", "--public", key_file(KeyKind.SIGNING)), 1) == (
        "Error: the file that KADEMLUA_PASSPHRASE_FILE names: No such file or directory\n"
    )


@pytest.mark.parametrize("form", ["{}", "{}\n", "{}\r\n", "\ufeff{}\r\n"])
def test_passphrase_file_of_any_editor_is_read(
    launch: Launcher, passphrase_file: Path, key_file: Callable[[KeyKind], str], form: str
) -> None:
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = str(passphrase_file)
    passphrase_file.write_text(form.format(PASSPHRASE), newline="")
    assert launch.run("keygen", "--public", key_file(KeyKind.SIGNING)).returncode == 0


def test_client_with_an_encrypted_identity_needs_its_passphrase(
    launch: Launcher, failed: Failed, passphrase_file: Path
) -> None:
    directory = launch.home / ".local" / "share" / "kademlua"
    directory.mkdir(mode=0o700, parents=True)
    write_encrypted_key(directory / "identity.key", KeyKind.SIGNING, KEY, PASSPHRASE)
    _, address = launch.node()
    command = ("add", "greeting", "hello", "--via", address)
    assert "identity.key: a passphrase protects" in failed(launch.run(*command), 2)
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = str(passphrase_file)
    assert launch.run(*command).returncode == 0


def test_completion_asks_for_no_passphrase(
    launch: Launcher, key_file: Callable[[KeyKind], str]
) -> None:
    words = f"kademlua find --network-key {key_file(KeyKind.NETWORK)} --vi"
    launch.env |= {"_KADEMLUA_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "4"}
    terminal = launch.terminal()
    assert terminal.wait() == 0
    assert "Passphrase" not in terminal.out.text
    assert "--via" in terminal.out.text


def test_typed_bytes_that_are_no_text_are_reported(
    launch: Launcher, key_file: Callable[[KeyKind], str]
) -> None:
    terminal = launch.terminal("keygen", "--public", key_file(KeyKind.SIGNING))
    terminal.out.expect("Passphrase of our.key: ")
    os.write(terminal.fd, b"correct\xff horse\n")
    terminal.out.expect("Error: a passphrase is UTF-8\n")
    assert terminal.wait() == 1


def test_prompt_escapes_the_name_of_the_file(launch: Launcher) -> None:
    write_encrypted_key(launch.home / "our\x1b[2J.key", KeyKind.SIGNING, KEY, PASSPHRASE)
    terminal = launch.terminal("keygen", "--public", "our\x1b[2J.key")
    enter(terminal, r"Passphrase of our\\x1b\[2J.key: ", PASSPHRASE)
    assert terminal.wait() == 0
    assert "\x1b" not in terminal.out.text
