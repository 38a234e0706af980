"""``kademlua keygen``: a new key in a file of its own."""

from __future__ import annotations

import click

from kademlua.signing import SigningKey


@click.command(short_help="Make a key that signs records.")
@click.argument("file", default="signing.key", type=click.Path())
@click.option("--public", is_flag=True, help="Make none: show the public key of the one in FILE.")
def keygen(file: str, public: bool) -> None:
    """Make a key that signs records, write it into FILE, and show its public key.

    Nobody but you may read FILE; where there is one already it stays as it is. Keep it: who has it
    can replace your records, and without it nobody can. FILE is signing.key unless you say so.

    \b
    Examples:
        kademlua keygen my.key
        kademlua keygen --public my.key
    """
    if public:
        key = SigningKey.load(file)
    else:
        key = SigningKey.generate()
        key.save(file)
    click.echo(key.public_key.hex())
