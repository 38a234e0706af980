"""The option ``--secret``: this process blinds keys, and seals and opens values.

The secret never goes to the node through which a command acts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from kademlua.api.api_call import ApiCall
from kademlua.api.secret_calls import SecretCalls
from kademlua.cli.connect import OpenApi
from kademlua.cli.key_file_input import load_secret
from kademlua.cli.options import ANY_PATH
from kademlua.cli.output import count
from kademlua.core.errors import KeyFileError
from kademlua.core.params import Params
from kademlua.crypto.secret import Secret

_R = TypeVar("_R")


def _load(context: click.Context, option: click.Parameter, path: Path | None) -> Secret | None:
    if path is None or context.resilient_parsing:  # completion never asks for a passphrase
        return None
    try:
        return load_secret(path)
    except KeyFileError as error:
        raise click.BadParameter(str(error)) from None


secret_option = click.option(
    "--secret",
    type=ANY_PATH,
    metavar="FILE",
    callback=_load,
    help="Encrypt values and hide keys with a secret, made by keygen --secret.",
)
"""The command receives ``secret``: a Secret, or None."""


def secret_api_option(function: Callable[..., _R]) -> Callable[..., _R]:
    """Add the option ``--secret`` to a command that receives ``open_api``.

    With a secret, ``open_api`` opens an API whose values are secret ones.
    """

    @secret_option
    @functools.wraps(function)
    def command(*, secret: Secret | None, open_api: OpenApi, **options: Any) -> _R:
        if secret is not None:
            open_api = functools.partial(_open_secret_api, secret, open_api)
        return function(open_api=open_api, **options)

    return command


@contextmanager
def _open_secret_api(secret: Secret, open_api: OpenApi) -> Iterator[ApiCall]:
    with open_api() as call:
        yield SecretCalls(secret, call, Params(), _tell_ignored)


def _tell_ignored(number: int) -> None:
    click.echo(f"{count(number, 'value')} ignored: not made with this secret", err=True)
