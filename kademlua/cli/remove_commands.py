"""``kademlua delete`` and ``remove``: a user's own values."""

from __future__ import annotations

import click

from kademlua.api.api_call import ApiCall
from kademlua.cli.connect import OpenApi, Ownership, api_options
from kademlua.cli.options import Key, json_lines_option, keys_argument
from kademlua.cli.output import echo_report, for_each_key
from kademlua.cli.secrets import secret_api_option
from kademlua.core.errors import KademluaError


@click.command(short_help="Remove your own value of each KEY.")
@keys_argument
@api_options(Ownership.REQUIRED)
@secret_api_option
@json_lines_option
def delete(*, keys: list[Key], open_api: OpenApi, as_json: bool) -> None:
    """Remove your value of each KEY from all nodes; those of other owners stay.

    It fails, with status 1, if you have no value there. The owner is the same as that of "kademlua
    set", which it has to be: your running node, or the key in your data directory.

    \b
    Examples:
        kademlua delete greeting
        kademlua delete greeting motto
    """
    _remove(keys, open_api, as_json=as_json)


@click.command(short_help="Remove your own value of each KEY: the same as delete.")
@keys_argument
@api_options(Ownership.REQUIRED)
@secret_api_option
@json_lines_option
def remove(*, keys: list[Key], open_api: OpenApi, as_json: bool) -> None:
    """Remove your value of each KEY from all nodes, and stop publishing it. "kademlua delete" does
    the same.

    \b
    Examples:
        kademlua remove greeting
        kademlua remove --port 8002 greeting    the value of the node on port 8002
    """
    _remove(keys, open_api, as_json=as_json)


def _remove(keys: list[Key], open_api: OpenApi, *, as_json: bool) -> None:
    def run(call: ApiCall, key: Key) -> None:
        try:
            report = call("remove", **key.fields)
        except KademluaError as error:
            raise click.ClickException(f"{key.text}: nothing was removed: {error}") from None
        echo_report(report, "removed", as_json=as_json)

    with open_api() as call:
        for_each_key(keys, lambda key: run(call, key))
