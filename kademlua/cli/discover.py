"""mDNS discovery, which needs the optional zeroconf package."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager

from kademlua.crypto.key_derivation import Purpose, derive_key
from kademlua.node.node import Node


def discovery(node: Node, network_keys: Sequence[bytes]) -> AbstractContextManager[object]:
    """Return a context manager that announces the node and discovers its network."""
    from kademlua.mdns import MdnsDiscovery

    # zeroconf logs a traceback for each interface without multicast; one line is enough.
    logging.getLogger("zeroconf").addFilter(_without_traceback)
    return MdnsDiscovery(node, [_network_label(key) for key in network_keys] or [""])


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _network_label(network_key: bytes) -> str:
    """Return a public label of a private network that does not reveal its key."""
    return derive_key(network_key, Purpose.DISCOVERY_LABEL, 8).hex()
