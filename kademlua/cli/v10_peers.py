"""A file that remembers the ids of 1.0 peers between short-lived clients.

The original enters each sender into its routing table and never forgets it. A client that knows
the id of its first contact shows that id, and enters no table: see ``PeerVersions.alias_for``.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import platformdirs

from kademlua.core.contact import Endpoint
from kademlua.core.ids import ID_BYTES

_MAX_PEERS = 64


def read_v10_peers() -> dict[Endpoint, bytes]:
    """Return the ids of 1.0 peers by endpoint; none if they cannot be read."""
    peers: dict[Endpoint, bytes] = {}
    try:
        for addr, port, digits in json.loads(_path().read_text())[:_MAX_PEERS]:
            if len(node_id := bytes.fromhex(digits)) == ID_BYTES:
                peers[str(addr), int(port)] = node_id
    except (OSError, ValueError, TypeError, RuntimeError):
        return {}
    return peers


def write_v10_peers(peers: dict[Endpoint, bytes]) -> None:
    """Save the ids of 1.0 peers, the last ones; do nothing if that fails."""
    rows = [(*endpoint, node_id.hex()) for endpoint, node_id in peers.items()][-_MAX_PEERS:]
    with suppress(OSError, RuntimeError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(rows))
        temporary.replace(path)


def _path() -> Path:
    return platformdirs.user_cache_path("kademlua", appauthor=False) / "v10-peers.json"
