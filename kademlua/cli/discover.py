"""Discovery as the command line has it: of an extra that may be missing."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

import click

from kademlua.node.node import Node


def require_zeroconf() -> None:
    """One line and the end where zeroconf is missing."""
    if importlib.util.find_spec("zeroconf") is None:
        raise click.ClickException(
            "--discover takes zeroconf; pip install 'kademlua[discover]' brings it"
        )


def discovery(node: Node, network_keys: Sequence[bytes]) -> AbstractContextManager[object]:
    """What announces a node and finds others of its network, while it is entered."""
    from kademlua.mdns import MdnsDiscovery

    # It logs each network without multicast with a traceback, where one line says all.
    logging.getLogger("zeroconf").addFilter(_without_traceback)
    return MdnsDiscovery(node, [_network_label(key) for key in network_keys] or [""])


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _network_label(network_key: bytes) -> str:
    """By what nodes of a private network know each other, and which tells nothing of its key."""
    return hashlib.blake2b(b"kademlua discovery", key=network_key, digest_size=8).hexdigest()
