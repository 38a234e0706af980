"""``kademlua record put``, ``kademlua record get``: self-certifying records, as in BEP 44."""

from __future__ import annotations

import os
import time

import click

from kademlua.api.json_form import report_to_json
from kademlua.cli.ephemeral_client import ephemeral_node
from kademlua.cli.key_file_input import load_signing_key
from kademlua.cli.options import (
    json_option,
    network_key_option,
    record_key,
    seconds,
    ttl_option,
    via_option,
)
from kademlua.cli.output import echo, format_report, print_json, value_text, write_raw
from kademlua.cli.secrets import secret_option
from kademlua.cli.value_input import value_argument
from kademlua.core.contact import Endpoint
from kademlua.core.json_codec import value_to_json
from kademlua.core.values.records import PUBLIC_KEY_BYTES, SignedRecord
from kademlua.crypto.secret import Secret

_record_key = record_key("a record")


@click.group(no_args_is_help=False, short_help="Store and show immutable and signed records.")
def record() -> None:
    """Records prove themselves, whichever node returns them. The key of an immutable record is the
    SHA-1 of its value; that of a signed one is derived from the signer's public key.

    \b
    Examples:
        kademlua record put "never to change"
        kademlua record get e5f96f6f38320f0f33959cb4d3d656452117aadb
    """


@record.command(short_help="Store VALUE as an immutable or signed record.")
@value_argument
@via_option
@network_key_option
@click.option(
    "--sign", "key_file", metavar="FILE", help="Sign with the key in FILE, made by kademlua keygen."
)
@secret_option
@click.option("--salt", metavar="TEXT", help="Distinguish records of one key; at most 64 bytes.")
@click.option("--seq", type=int, metavar="N", help="Sequence number.  [default: the next]")
@click.option("--cas", type=int, metavar="N", help="Replace only sequence number N.")
@click.option("--expires", type=seconds, metavar="TIME", help="Sign an expiry, like 90d from now.")
@ttl_option
@json_option
def put(
    *,
    value: bytes,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    key_file: str | None,
    secret: Secret | None,
    salt: str | None,
    seq: int | None,
    cas: int | None,
    expires: float | None,
    ttl: float | None,
    as_json: bool,
) -> None:
    """Store VALUE as an unforgeable record, and print its key. How many nodes stored it is
    reported on standard error.

    Without --sign the record is immutable: its key is the SHA-1 of the value. With --sign the key
    is derived from your public key and the salt; another record put replaces the value.

    VALUE is text; - reads bytes from standard input, and --file from a file. A value has at most
    15,000 bytes, bencoded. Write -- before a value that begins with a dash. A record expires at its
    TTL, like every value.

    \b
    Examples:
        kademlua record put "never to change"
        kademlua keygen my.key
        kademlua record put --sign my.key "hello world"
        kademlua record put --sign my.key --secret secret.key "for us only"
        kademlua record put --sign my.key --salt portrait --ttl 30d --file portrait.jpg
    """
    signed_options = {"--salt": salt, "--seq": seq, "--cas": cas, "--expires": expires}
    for name, each in signed_options.items():
        if each is not None and key_file is None:
            raise click.UsageError(f"{name} applies to signed records only; add --sign FILE.")
    signer = None if key_file is None else load_signing_key(key_file)
    with ephemeral_node(via, network_keys) as node:
        records = node if secret is None else node.secret(secret)
        try:
            if signer is None:
                put_result = records.put_immutable(value, ttl=ttl)
            else:
                put_result = records.put_signed(
                    value,
                    signer,
                    salt=os.fsencode(salt or ""),
                    seq=seq,
                    cas=cas,
                    ttl=ttl,
                    expires=None if expires is None else time.time() + expires,
                )
        except ValueError as error:  # too large, or a number out of range
            raise click.ClickException(str(error)) from None
    report = dict(report_to_json(put_result.key, put_result.report))
    printed_key = put_result.key if signer is None else signer.public_key
    if as_json:
        details = {} if put_result.signed_record is None else _signed_json(put_result.signed_record)
        print_json(report | details)
    else:
        echo(printed_key.hex())
        click.echo(format_report(report, "stored"), err=True)


@record.command(short_help="Show the record of KEY.")
@click.argument("key", type=_record_key)
@via_option
@network_key_option
@secret_option
@click.option("--salt", metavar="TEXT", help="The salt of a signed record, if it has one.")
@click.option("--raw", is_flag=True, help="Write the value's bytes unchanged.")
@json_option
def get(
    *,
    key: bytes,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    secret: Secret | None,
    salt: str | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the record of KEY: the SHA-1 of an immutable record (40 hex digits), or the public key
    of a signed one (64). "kademlua record put" shows this key.

    Only a verified record is shown; of signed ones the newest.

    \b
    Examples:
        kademlua record get e5f96f6f38320f0f33959cb4d3d656452117aadb
        kademlua record get --salt portrait --raw $(kademlua keygen --public my.key) > portrait.jpg
    """
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    is_signed = len(key) == PUBLIC_KEY_BYTES
    if salt is not None and not is_signed:
        raise click.UsageError("--salt requires a public key as KEY.")
    details: dict[str, object] = {"key": key.hex()}
    with ephemeral_node(via, network_keys) as node:
        records = node if secret is None else node.secret(secret)
        try:
            if is_signed:
                found = records.get_signed(key, os.fsencode(salt or ""))
                if found is None:
                    raise KeyError
                value = found.value
                details = {"key": found.key.hex()} | _signed_json(found)
            else:
                value = records.get_immutable(key)
        except KeyError:
            raise click.ClickException(f"no record found for {key.hex()}") from None
        except ValueError as error:  # the salt is too long
            raise click.ClickException(str(error)) from None
    if raw:
        write_raw(value)
    elif as_json:
        print_json(details | {"value": value_to_json(value)})
    else:
        echo(value_text(value))


def _signed_json(signed: SignedRecord) -> dict[str, object]:
    return {
        "public_key": signed.public_key.hex(),
        "salt": value_to_json(signed.salt),
        "seq": signed.seq,
        "expires": signed.expires_at,
    }
