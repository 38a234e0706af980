"""One node in its own process, controlled through its standard input."""

from __future__ import annotations

import json
import os
import resource
import sys

from gevent.socket import wait_read

from kademlua import Node, NodeOptions, Params
from kademlua.cli.signals import exit_on_signals

_NEVER = 86_400

PARAMS = Params(
    # Nothing but the requests: no upkeep in between, no bound of the store.
    freshness_window=_NEVER,
    maintenance_interval=_NEVER,
    refresh_interval=_NEVER,
    max_entries=10_000_000,
    max_stored_bytes=1 << 40,
)


def serve(node_id: bytes) -> None:
    """Print the port; then answer each line of the input with one of JSON, until it ends."""
    with Node(params=PARAMS, options=NodeOptions(id=node_id)) as node:
        print(node.contact.port, flush=True)
        while True:
            wait_read(0)
            if not os.read(0, 65_536):
                return
            used = resource.getrusage(resource.RUSAGE_SELF)
            state = {
                "cpu_us": 1_000_000 * (used.ru_utime + used.ru_stime),
                "contacts": len(node.table),
            }
            print(json.dumps(state), flush=True)


if __name__ == "__main__":
    with exit_on_signals():
        serve(bytes.fromhex(sys.argv[1]))
