"""``kademlua keygen``: makes keys, each in a file of its own."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from kademlua.core.networkkey import KEY_BYTES
from kademlua.keyfile import write_network_key

_NETWORK_FILE = Path("network.key")


@click.command(short_help="Make a key in a file that only its owner can read.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--network",
    "is_network",
    is_flag=True,
    help=f"The key of a private network.  [default file: {_NETWORK_FILE}]",
)
def keygen(file: Path | None, is_network: bool) -> None:
    """Make a new key in FILE, which must not be there yet, and which only its owner can read.

    A network's key keeps strangers out: give the same file to each node of the network and to
    each client. To exchange a key, let every node name the old one and the new one for a
    while; the first one named tags what it sends.

    \b
    Examples:
        kademlua keygen --network
        kademlua node 8001 --network-key network.key
        kademlua find greeting --network-key network.key
        kademlua node 8001 --network-key old.key --network-key new.key
    """
    if not is_network:
        raise click.UsageError("Say what the key is for: --network makes one for a network.")
    path = file or _NETWORK_FILE
    write_network_key(path, secrets.token_bytes(KEY_BYTES))
    click.echo(f"a new network key is in {path}; whoever has it is in the network")
