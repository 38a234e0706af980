"""``kademlua keygen``: makes keys, each in a file of its own."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from kademlua.core.security.network_key import KEY_BYTES
from kademlua.crypto.key_files import write_network_key
from kademlua.crypto.signing import SigningKey

_NETWORK_FILE = Path("network.key")
_SIGNING_FILE = Path("signing.key")


@click.command(short_help="Make a key in a file that only its owner can read.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--network",
    "is_network",
    is_flag=True,
    help=f"The key of a private network.  [default file: {_NETWORK_FILE}]",
)
@click.option(
    "--public", is_flag=True, help="Make none: show the public key of the signing key in FILE."
)
def keygen(file: Path | None, is_network: bool, public: bool) -> None:
    """Make a new key in FILE, which must not be there yet, and which only its owner can read.

    Without options it is a key that signs records, and its public key is shown. Keep it: who has it
    can replace your records, and without it nobody can. FILE is signing.key unless you say so.

    A network's key keeps strangers out: give the same file to each node of the network and to
    each client. To exchange a key, let every node name the old one and the new one for a
    while; the first one named tags what it sends.

    \b
    Examples:
        kademlua keygen my.key
        kademlua put --sign my.key "hello world"
        kademlua keygen --public my.key
        kademlua keygen --network
        kademlua node 8001 --network-key network.key
        kademlua find greeting --network-key network.key
        kademlua node 8001 --network-key old.key --network-key new.key
    """
    if is_network and public:
        raise click.UsageError("--network and --public exclude each other.")
    if is_network:
        path = file or _NETWORK_FILE
        write_network_key(path, secrets.token_bytes(KEY_BYTES))
        click.echo(f"a new network key is in {path}; whoever has it is in the network")
        return
    path = file or _SIGNING_FILE
    if public:
        key = SigningKey.load(path)
    else:
        key = SigningKey.generate()
        key.save(path)
    click.echo(key.public_key.hex())
