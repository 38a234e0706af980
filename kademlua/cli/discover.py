"""Discovery as the command line has it: of an extra that may be missing."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager

import click

from kademlua.node import Node


def require_zeroconf() -> None:
    """One line and the end where zeroconf is missing."""
    if importlib.util.find_spec("zeroconf") is None:
        raise click.ClickException(
            "--discover takes zeroconf; pip install 'kademlua[discover]' brings it"
        )


def discovery(node: Node) -> AbstractContextManager[object]:
    """What announces a node and finds others, while it is entered."""
    from kademlua.discovery import Discovery

    return Discovery(node)
