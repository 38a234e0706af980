"""``kademlua object``: content of any size, such as files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import click

from kademlua.cli.connect import connect, daemon_options
from kademlua.cli.ephemeral_client import ephemeral_node
from kademlua.cli.key_file_input import load_signing_key
from kademlua.cli.object_files import ObjectFile
from kademlua.cli.options import (
    FILE,
    json_lines_option,
    json_option,
    network_key_option,
    node_id,
    record_key,
    ttl_option,
    via_option,
)
from kademlua.cli.output import count, echo, print_json
from kademlua.cli.progress import open_source, progress, size_of
from kademlua.cli.secrets import secret_option
from kademlua.core.contact import Endpoint
from kademlua.core.durations import readable_duration
from kademlua.core.objects.layout import DEFAULT_BLOCK_BYTES
from kademlua.core.objects.report import ObjectReport
from kademlua.core.values.records import PUBLIC_KEY_BYTES
from kademlua.crypto.secret import Secret
from kademlua.objects.reader import ObjectReader
from kademlua.objects.streams import PooledStream

_SOURCE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_salt_option = click.option(
    "--salt", metavar="TEXT", default="", help="Distinguish names of one key; at most 64 bytes."
)


_object_key = record_key("an object")


@click.group(
    "object", no_args_is_help=False, short_help="Store, read and publish files of any size."
)
def object_group() -> None:
    """Objects are files of any size. The key of an object proves each byte of it, whichever nodes
    return them.

    \b
    Examples:
        kademlua object put holiday.mp4
        kademlua object get 5b1e8b5d3bd2a4b7f1b2b3d5c8f0a9e1d2c3b4a5 -o holiday.mp4
    """


@object_group.command(short_help="Store FILE, and print its key.")
@click.argument("file", type=_SOURCE)
@via_option
@network_key_option
@secret_option
@click.option("--sign", "key_file", metavar="KEYFILE", help="Let the key in KEYFILE name FILE.")
@_salt_option
@click.option("--resume", is_flag=True, help="Store only the blocks that are not found.")
@click.option(
    "--block-bytes",
    type=int,
    default=DEFAULT_BLOCK_BYTES,
    metavar="N",
    help="Bytes in a block: 1024 if the network loses fragments.  [default: 14336]",
)
@ttl_option
@json_option
def put(
    *,
    file: Path,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    secret: Secret | None,
    key_file: str | None,
    salt: str,
    resume: bool,
    block_bytes: int,
    ttl: float | None,
    as_json: bool,
) -> None:
    """Store FILE, of any size, and print its key; - is standard input. The network keeps it for
    its TTL; "kademlua object publish" lets a node renew it.

    Equal content has the same key, and equal blocks of files are stored once. If the command was
    interrupted, --resume goes on where it stopped.

    With --sign, the printed key is your public key, and names what you stored last. Make
    KEYFILE with "kademlua keygen KEYFILE".

    With --secret, only holders of the secret can read FILE and its name.

    \b
    Examples:
        kademlua object put holiday.mp4
        tar c photos | kademlua object put --ttl 7d -
        kademlua object put --sign my.key --salt blog site.tar
        kademlua object put --secret family.key holiday.mp4
    """
    if salt and key_file is None:
        raise click.UsageError("--salt applies to names only; add --sign KEYFILE.")
    signer = None if key_file is None else load_signing_key(key_file)
    reports = [ObjectReport()]
    with open_source(file) as source, ephemeral_node(via, network_keys) as client:
        node = client if secret is None else client.secret(secret)
        with progress("storing", size_of(source)) as update:

            def show(report: ObjectReport) -> None:
                reports[0] = report
                update(report.stored_bytes)

            try:
                key = node.put_object(
                    PooledStream(source),
                    ttl=ttl,
                    skip_stored=resume,
                    block_bytes=block_bytes,
                    on_progress=show,
                )
            except ValueError as error:
                raise click.ClickException(str(error)) from None
        if signer is not None:
            node.name_object(key, signer, salt=os.fsencode(salt), ttl=ttl)
    report = reports[0]
    if as_json:
        print_json(
            {
                "key": key.hex(),
                "public_key": None if signer is None else signer.public_key.hex(),
                "size": report.stored_bytes,
                "blocks": report.stored_blocks,
                "found_blocks": report.found_blocks,
                "fewest_replicas": report.fewest_replicas,
                "refusals": dict(report.refusals),
                "timed_out": report.timed_out,
            }
        )
        return
    echo((key if signer is None else signer.public_key).hex())
    click.echo(_report_text(report), err=True)


def _report_text(report: ObjectReport) -> str:
    text = f"{report.stored_bytes:,} bytes, {count(report.stored_blocks, 'block')} stored"
    if report.fewest_replicas is not None:
        text += f" on at least {count(report.fewest_replicas, 'node')} each"
    if report.found_blocks:
        text += f", {report.found_blocks:,} found"
    return text


@object_group.command(short_help="Read the object of KEY.")
@click.argument("key", type=_object_key)
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write to FILE.  [default: standard output]"
)
@via_option
@network_key_option
@secret_option
@_salt_option
def get(
    *,
    key: bytes,
    output: Path | None,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    secret: Secret | None,
    salt: str,
) -> None:
    """Write the object of KEY to FILE, or to standard output. KEY is what "kademlua object put"
    printed: 40 hex digits, or the public key (64) that names the object.

    FILE is replaced when the object is complete and verified. Until then it is in FILE.part, where
    the same command goes on if it was interrupted. A device or a pipe is written to directly.

    \b
    Examples:
        kademlua object get 5b1e8b5d3bd2a4b7f1b2b3d5c8f0a9e1d2c3b4a5 -o holiday.mp4
        kademlua object get --salt blog $(kademlua keygen --public my.key) | tar x
        kademlua object get --secret family.key 5b1e8b5d3bd2a4b7f1b2b3d5c8f0a9e1d2c3b4a5 -o film
    """
    is_name = len(key) == PUBLIC_KEY_BYTES
    if salt and not is_name:
        raise click.UsageError("--salt requires a public key as KEY.")
    with ephemeral_node(via, network_keys) as client:
        node = client if secret is None else client.secret(secret)
        object_key = node.find_named_object(key, os.fsencode(salt)) if is_name else key
        with node.open_object(object_key) as reader, progress("reading", reader.size) as update:
            if output is None:
                _copy(reader, sys.stdout.buffer, update)
            elif output.exists() and not output.is_file():  # a device or a pipe is not replaced
                with output.open("wb") as file:
                    _copy(reader, file, update)
            else:
                ObjectFile(output).fetch(reader, update)


def _copy(reader: ObjectReader, file: BinaryIO, on_progress: Callable[[int], None]) -> None:
    for part in iter(lambda: reader.read(reader.block_bytes), b""):
        file.write(part)
        on_progress(reader.tell())
    file.flush()


@object_group.command(short_help="Let a node store FILE, and renew it.")
@click.argument("file", type=FILE)
@ttl_option
@daemon_options(required=True)
@json_option
def publish(*, file: Path, ttl: float | None, socket: Path, as_json: bool) -> None:
    """Store FILE through a running node, by default the one on port 8001, and print its key. The
    node keeps the content, and renews it, across restarts, until "kademlua object unpublish".

    \b
    Examples:
        kademlua object publish holiday.mp4
        kademlua object publish --port 8002 --ttl 2d holiday.mp4
    """
    size = file.stat().st_size
    key = ""
    fields: dict[str, Any] = {"path": str(file.absolute()), "ttl": ttl}
    with connect(socket, quiet=True) as node, progress("publishing", size) as update:
        for row in node.stream("publish_object", **fields):
            update(row.get("stored_bytes", size))
            key = row.get("key", key)
    if as_json:
        print_json({"key": key, "size": size})
    else:
        echo(key)


@object_group.command(short_help="Stop renewing an object.")
@click.argument("key", type=node_id)
@daemon_options(required=True)
@json_option
def unpublish(*, key: bytes, socket: Path, as_json: bool) -> None:
    """Let a running node stop renewing the object of KEY; it expires at its TTL. Blocks that other
    published objects share stay.

    \b
    Example:
        kademlua object unpublish 5b1e8b5d3bd2a4b7f1b2b3d5c8f0a9e1d2c3b4a5
    """
    with connect(socket) as node:
        reply = node.call("unpublish_object", key=key.hex())
    if as_json:
        print_json(reply)
    elif not reply["was_published"]:
        raise click.ClickException(f"the node does not publish an object {key.hex()}")


@object_group.command(short_help="Show the objects that a node publishes.")
@daemon_options(required=True)
@json_lines_option
def published(*, socket: Path, as_json: bool) -> None:
    """Show the objects that a running node publishes: key, TTL and bytes.

    \b
    Example:
        kademlua object published
    """
    with connect(socket, quiet=True) as node:
        for row in node.stream("published_objects"):
            ttl = readable_duration(row["ttl"])
            text = f"{row['key']}  {ttl:>7}  {row['size']:>15,} bytes"
            echo(json.dumps(row) if as_json else text)
