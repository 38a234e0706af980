"""The key files that commands read, and the passphrases of those that are encrypted."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import click

from kademlua.cli.signals import showing_input_again
from kademlua.core.errors import KeyFileError, PassphraseRequired
from kademlua.crypto.key_files import KeyKind, read_key
from kademlua.crypto.passphrase import require_passphrase
from kademlua.crypto.private_files import read_private_file
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import SigningKey
from kademlua.terminal.text import to_one_line

_PASSPHRASE_VARIABLE = "KADEMLUA_PASSPHRASE_FILE"
NEW_PASSPHRASE_VARIABLE = "KADEMLUA_NEW_PASSPHRASE_FILE"
"""Names the file with the new passphrase where there may be a former one."""
_MAX_PASSPHRASE_BYTES = 1_024


class NoPassphrase(click.ClickException):
    """There is neither a terminal to ask for a passphrase, nor a file that contains it."""

    exit_code = 2

    def __init__(self, what: str, variable: str = _PASSPHRASE_VARIABLE) -> None:
        super().__init__(
            f"{what}, and there is no terminal to ask for it; set {variable} to a file"
            " that contains it"
        )


def load_signing_key(path: str | Path) -> SigningKey:
    """Return the signing key in a file, as ``load_key`` does."""
    return SigningKey(load_key(path, KeyKind.SIGNING))


def load_secret(path: str | Path) -> Secret:
    """Return the secret in a file, as ``load_key`` does."""
    return Secret(load_key(path, KeyKind.SECRET))


def load_key(path: str | Path, kind: KeyKind) -> bytes:
    """Return the key of a kind in a file; ask for the passphrase of an encrypted one.

    Raises:
        KeyFileError: The file cannot be used, or the passphrase is wrong.
        NoPassphrase: There is no terminal, and no file with the passphrase.
    """
    try:
        return read_key(path, kind)
    except PassphraseRequired as error:
        passphrase = _passphrase_in_file(_PASSPHRASE_VARIABLE)
        if passphrase is None:
            if not _has_terminal():
                raise NoPassphrase(str(error)) from None
            passphrase = _prompt(f"Passphrase of {to_one_line(str(path))}")
        return read_key(path, kind, passphrase)


def new_passphrase(option: str, variable: str = _PASSPHRASE_VARIABLE) -> str:
    """Return the passphrase for a key file, which a person types twice.

    Args:
        option: That of the command.
        variable: Names the file with the passphrase, if there is one.

    Raises:
        click.ClickException: It is too short, or there is no terminal and no file with it.
    """
    passphrase = _passphrase_in_file(variable)
    if passphrase is None:
        if not _has_terminal():
            raise NoPassphrase(f"{option} needs a passphrase", variable)
        passphrase = _prompt("New passphrase", confirms=True)
    try:
        require_passphrase(passphrase)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return passphrase


def _prompt(text: str, *, confirms: bool = False) -> str:
    """Return what a person types, which is not shown; KeyFileError if it is not UTF-8."""
    try:
        with showing_input_again():
            return str(click.prompt(text, hide_input=True, confirmation_prompt=confirms, err=True))
    except UnicodeDecodeError:
        raise KeyFileError("a passphrase is UTF-8") from None


@functools.cache  # a pipe can be read once
def _passphrase_in_file(variable: str) -> str | None:
    """Return the passphrase in the file that a variable names; None if it names none."""
    path = os.environ.get(variable)
    if not path:
        return None
    try:
        data = read_private_file(path, _MAX_PASSPHRASE_BYTES + 1, allows_pipe=True)
        if len(data) > _MAX_PASSPHRASE_BYTES:
            raise ValueError(f"a passphrase has at most {_MAX_PASSPHRASE_BYTES:,} bytes")
        # Some editors begin a file with a byte order mark.
        passphrase = data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: a passphrase is UTF-8") from None
    except OSError as error:  # without the path: it may be the passphrase, by mistake
        raise KeyFileError(f"the file that {variable} names: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    if not passphrase:
        raise KeyFileError(f"{path}: no passphrase in it")
    return passphrase


def _has_terminal() -> bool:
    """Return whether a person can be asked. A background job that reads is suspended."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    finally:
        os.close(fd)
