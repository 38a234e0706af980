"""``kademlua keygen``: generate signing keys, network keys and secrets, and show what is public."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

import click

from kademlua.cli.key_file_input import (
    NEW_PASSPHRASE_VARIABLE,
    load_key,
    load_signing_key,
    new_passphrase,
)
from kademlua.cli.options import ANY_PATH
from kademlua.core.errors import KeyFileError
from kademlua.core.security.network_key import KEY_BYTES
from kademlua.crypto.fingerprint import secret_fingerprint
from kademlua.crypto.key_files import KeyKind, is_encrypted, kind_of, rewrite_key, write_key
from kademlua.crypto.mail import mail_address
from kademlua.crypto.signing import SigningKey
from kademlua.terminal.text import to_one_line

_DEFAULT_FILES = {
    KeyKind.NETWORK: Path("network.key"),
    KeyKind.SIGNING: Path("signing.key"),
    KeyKind.SECRET: Path("secret.key"),
}


@click.command(short_help="Generate a key file that only its owner can read.")
@click.argument("file", type=ANY_PATH, required=False)
@click.option(
    "--network",
    "is_network",
    is_flag=True,
    help="Generate the key of a private network.  [default file: network.key]",
)
@click.option(
    "--secret",
    "is_secret",
    is_flag=True,
    help="Generate a secret for secret values.  [default file: secret.key]",
)
@click.option(
    "--passphrase",
    "encrypts",
    is_flag=True,
    help="Encrypt the new file with a passphrase of at least 12 characters, which is asked for.",
)
@click.option("--fingerprint", is_flag=True, help="Show the fingerprint of the key in FILE.")
@click.option("--public", is_flag=True, help="Show the public key of the signing key in FILE.")
@click.option(
    "--mail-address",
    "shows_address",
    is_flag=True,
    help="Show the address to which mail for the holder of the signing key in FILE is sent.",
)
@click.option(
    "--change-passphrase",
    "changes",
    is_flag=True,
    help="Encrypt FILE with a new passphrase, whether one protects it already or not.",
)
@click.option("--remove-passphrase", "removes", is_flag=True, help="Store FILE without encryption.")
def keygen(
    *,
    file: Path | None,
    is_network: bool,
    is_secret: bool,
    encrypts: bool,
    fingerprint: bool,
    public: bool,
    shows_address: bool,
    changes: bool,
    removes: bool,
) -> None:
    """Generate a key in FILE, which must not exist; only its owner can read it.

    The default is a signing key for records, in signing.key; its public key is shown. Keep it
    secret and back it up: only its holder can replace your records.

    A network key excludes nodes without it: give the same file to all nodes and clients. To rotate
    keys, start every node with the old and the new key for a while; the first key is used to send.

    A secret hides keys and values from the nodes that keep them (--secret of add, find and others;
    Secret.load in a program).

    People compare copies of a key by its fingerprint, which reveals nothing about it.

    Each command that reads an encrypted file asks for its passphrase. Without a terminal, it is in
    the file, readable only by its owner, that the environment variable KADEMLUA_PASSPHRASE_FILE
    names. That of --change-passphrase is in the file that KADEMLUA_NEW_PASSPHRASE_FILE names.

    \b
    Examples:
        kademlua keygen my.key
        kademlua record put --sign my.key "hello world"
        kademlua keygen --public my.key
        kademlua keygen --mail-address my.key
        kademlua keygen --secret
        kademlua add --secret secret.key treasure "under the oak"
        kademlua keygen --network
        kademlua keygen --network --passphrase office.key
        kademlua keygen --change-passphrase office.key
        kademlua keygen --fingerprint office.key
        kademlua node 8001 --network-key network.key
        kademlua find greeting --network-key network.key
        kademlua node 8001 --network-key old.key --network-key new.key
    """
    uses_file = fingerprint + public + shows_address + changes + removes
    if is_network + is_secret + uses_file > 1:
        raise click.UsageError(
            "--network, --secret, --fingerprint, --public, --mail-address, --change-passphrase and"
            " --remove-passphrase exclude each other."
        )
    if encrypts and uses_file:
        raise click.UsageError("--passphrase is for a new key.")
    path = file or _DEFAULT_FILES[KeyKind.SIGNING]
    if fingerprint:
        click.echo(_fingerprint(path))
    elif public:
        click.echo(load_signing_key(path).public_key.hex())
    elif shows_address:
        click.echo(mail_address(load_signing_key(path)).hex())
    elif changes or removes:
        _change_passphrase(path, removes=removes)
    else:
        kinds = {is_network: KeyKind.NETWORK, is_secret: KeyKind.SECRET}
        _generate(file, kinds.get(True, KeyKind.SIGNING), encrypts=encrypts)


def _fingerprint(path: Path) -> str:
    """Return the fingerprint of the key in a file, whatever its kind."""
    kind = kind_of(path)
    return _fingerprint_of(kind, load_key(path, kind))


def _fingerprint_of(kind: KeyKind, key: bytes) -> str:
    return SigningKey(key).fingerprint if kind is KeyKind.SIGNING else secret_fingerprint(key)


def _change_passphrase(path: Path, *, removes: bool) -> None:
    """Encrypt a key file with another passphrase, or store it without one."""
    kind = kind_of(path)
    if removes and not is_encrypted(path):
        raise KeyFileError(f"{path}: no passphrase protects this {kind}")
    key = load_key(path, kind)
    passphrase = None
    if not removes:
        passphrase = new_passphrase("--change-passphrase", NEW_PASSPHRASE_VARIABLE)
    rewrite_key(path, kind, key, passphrase)
    protection = "no passphrase protects" if removes else "a new passphrase protects"
    click.echo(f"{protection} the {kind} in {to_one_line(str(path))}")
    click.echo(f"its fingerprint is {_fingerprint_of(kind, key)}")


def _generate(file: Path | None, kind: KeyKind, *, encrypts: bool) -> None:
    """Write a new key, and say so; of a signing key, show the public key for scripts."""
    path = file or _DEFAULT_FILES[kind]
    if encrypts and os.path.lexists(path):  # before a person types a passphrase twice
        raise KeyFileError(f"{path}: {os.strerror(errno.EEXIST)}")
    key = secrets.token_bytes(KEY_BYTES)
    fingerprint = _fingerprint_of(kind, key)
    write_key(path, kind, key, new_passphrase("--passphrase") if encrypts else None)
    is_signing = kind is KeyKind.SIGNING
    remark = "; copy it to each node of the network" if kind is KeyKind.NETWORK else ""
    click.echo(f"wrote a new {kind} to {to_one_line(str(path))}{remark}", err=is_signing)
    click.echo(f"its fingerprint is {fingerprint}", err=is_signing)
    if is_signing:
        click.echo(SigningKey(key).public_key.hex())
