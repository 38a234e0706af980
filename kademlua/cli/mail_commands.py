"""``kademlua send``, ``kademlua inbox``: messages that one reader can open."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from kademlua.api.json_form import mail_to_json, report_to_json
from kademlua.cli.ephemeral_client import ephemeral_node
from kademlua.cli.key_file_input import load_signing_key
from kademlua.cli.options import (
    json_lines_option,
    json_option,
    network_key_option,
    parameter,
    ttl_option,
    via_option,
)
from kademlua.cli.output import echo, echo_report, print_json, value_text
from kademlua.cli.signals import exit_on_signals
from kademlua.cli.value_input import value_argument
from kademlua.core.contact import Endpoint
from kademlua.core.results import Mail
from kademlua.crypto.mail import ADDRESS_BYTES, mailbox_key
from kademlua.terminal.text import to_one_line

_MAX_SHOWN_SECONDS = 253_402_300_799
"""The end of the year 9999, after which ``datetime`` has no dates."""


@parameter
def _address(text: str) -> bytes:
    """Parse what ``keygen --mail-address`` shows: 64 hex digits."""
    try:
        address = bytes.fromhex(text)
    except ValueError:
        address = b""
    if len(address) != ADDRESS_BYTES or len(text) != 2 * ADDRESS_BYTES:
        raise ValueError(f"a mail address has {2 * ADDRESS_BYTES} hex digits, not {text[:70]!r}")
    return address


_sign_option = click.option(
    "--sign",
    "key_file",
    metavar="FILE",
    required=True,
    help="Your signing key, made by kademlua keygen.",
)


@click.command(short_help="Send VALUE to the holder of ADDRESS, encrypted.")
@click.argument("address", type=_address)
@value_argument
@_sign_option
@via_option
@network_key_option
@ttl_option
@json_option
def send(
    *,
    address: bytes,
    value: bytes,
    key_file: str,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    ttl: float | None,
    as_json: bool,
) -> None:
    """Send VALUE to the holder of ADDRESS, who alone can read it and sees who signed it.

    ADDRESS is what kademlua keygen --mail-address shows to the reader. VALUE is text; - reads bytes
    from standard input, and --file from a file. The nodes of the network keep the message until its
    TTL ends, whether it was read or not.

    \b
    Examples:
        kademlua keygen alice.key
        kademlua keygen --mail-address bob.key
        kademlua send --sign alice.key 9a3c… "meet me at noon"
        kademlua send --sign alice.key 9a3c… --ttl 7d --file letter.txt
    """
    signer = load_signing_key(key_file)
    with ephemeral_node(via, network_keys) as node:
        try:
            report = node.put_for(address, value, signer, ttl=ttl)
        except ValueError as error:  # too large, no address, or a TTL out of range
            raise click.ClickException(str(error)) from None
    json_report = dict(report_to_json(mailbox_key(address), report))
    echo_report(json_report, "stored", as_json=as_json)


@click.command(short_help="Show the mail to your address, until ^C.")
@_sign_option
@click.option(
    "--count", type=click.IntRange(1), metavar="N", help="End after N messages.  [default: never]"
)
@via_option
@network_key_option
@json_lines_option
def inbox(
    *,
    key_file: str,
    count: int | None,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    as_json: bool,
) -> None:
    """Show each message to the address of a key: those that the network keeps, then new ones. ^C
    ends it.

    Each line has the time by the sender's clock, the sender's public key, and the message. What is
    forged, or not for this address, is not shown.

    \b
    Examples:
        kademlua inbox --sign bob.key
        kademlua inbox --sign bob.key --json | jq -r .value
        kademlua inbox --sign bob.key --count 1     waits for a message
    """
    signing_key = load_signing_key(key_file)
    with ephemeral_node(via, network_keys) as node, exit_on_signals(interrupt_status=0):
        for shown, mail in enumerate(node.inbox(signing_key), 1):
            if as_json:
                print_json(mail_to_json(mail))
            else:
                echo(_mail_text(mail))
            if shown == count:
                return


def _mail_text(mail: Mail) -> str:
    seconds = min(mail.sent_at, _MAX_SHOWN_SECONDS)
    sent_at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{sent_at}  {mail.sender.hex()}  {to_one_line(value_text(mail.value))}".rstrip()
