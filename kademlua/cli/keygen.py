"""``kademlua keygen``: generate signing keys, network keys and secrets."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from kademlua.cli.options import ANY_PATH
from kademlua.core.security.network_key import KEY_BYTES
from kademlua.crypto.key_files import write_network_key
from kademlua.crypto.mail import mail_address
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import SigningKey

_NETWORK_FILE = Path("network.key")
_SIGNING_FILE = Path("signing.key")
_SECRET_FILE = Path("secret.key")


@click.command(short_help="Generate a key file that only its owner can read.")
@click.argument("file", type=ANY_PATH, required=False)
@click.option(
    "--network",
    "is_network",
    is_flag=True,
    help=f"Generate the key of a private network.  [default file: {_NETWORK_FILE}]",
)
@click.option(
    "--secret",
    "is_secret",
    is_flag=True,
    help=f"Generate a secret for secret values.  [default file: {_SECRET_FILE}]",
)
@click.option("--public", is_flag=True, help="Show the public key of the signing key in FILE.")
@click.option(
    "--mail-address",
    "shows_address",
    is_flag=True,
    help="Show the address to which mail for the holder of the signing key in FILE is sent.",
)
def keygen(
    *, file: Path | None, is_network: bool, is_secret: bool, public: bool, shows_address: bool
) -> None:
    """Generate a key in FILE, which must not exist; only its owner can read it.

    The default is a signing key for records, in signing.key; its public key is shown. Keep it
    secret and back it up: only its holder can replace your records.

    A network key excludes nodes without it: give the same file to all nodes and clients. To rotate
    keys, start every node with the old and the new key for a while; the first key is used to send.

    A secret hides keys and values from the nodes that keep them (--secret of add, find and others;
    Secret.load in a program). Its fingerprint is shown, by which people compare copies of it; it
    reveals nothing.

    \b
    Examples:
        kademlua keygen my.key
        kademlua record put --sign my.key "hello world"
        kademlua keygen --public my.key
        kademlua keygen --mail-address my.key
        kademlua keygen --secret
        kademlua add --secret secret.key treasure "under the oak"
        kademlua keygen --network
        kademlua node 8001 --network-key network.key
        kademlua find greeting --network-key network.key
        kademlua node 8001 --network-key old.key --network-key new.key
    """
    if is_network + is_secret + public + shows_address > 1:
        raise click.UsageError(
            "--network, --secret, --public and --mail-address exclude each other."
        )
    if is_secret:
        path, secret = file or _SECRET_FILE, Secret.generate()
        secret.save(path)
        click.echo(f"wrote a new secret to {path}; its fingerprint is {secret.fingerprint}")
        return
    if is_network:
        path = file or _NETWORK_FILE
        write_network_key(path, secrets.token_bytes(KEY_BYTES))
        click.echo(f"wrote a new network key to {path}; copy it to each node of the network")
        return
    path = file or _SIGNING_FILE
    if shows_address:
        click.echo(mail_address(SigningKey.load(path)).hex())
        return
    if public:
        key = SigningKey.load(path)
    else:
        key = SigningKey.generate()
        key.save(path)
    click.echo(key.public_key.hex())
