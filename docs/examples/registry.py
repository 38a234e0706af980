"""A service registry with TTLs, in a plain program without gevent.

    python registry.py announce web 192.0.2.1:80
    python registry.py find web

It joins through a node on port 8001 (``kademlua node 8001``), or at ``--bootstrap HOST:PORT``.

A service is a key. Each instance publishes its address there. The node stores it again before it
expires; an instance that is gone disappears after its TTL.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import kademlua


class Registry:
    """The addresses of services."""

    def __init__(self, node: kademlua.ThreadedNode) -> None:
        self._node = node

    def announce(self, service: str, address: str, ttl: float) -> int:
        """Publish the address of a service, and return the number of replicas.

        It expires at most ``ttl`` seconds after this node was killed.
        """
        return len(self._node.publish(key_of(service), address, ttl=ttl).acknowledged)

    def withdraw(self, service: str) -> None:
        """Remove the address of a service."""
        self._node.remove(key_of(service))

    def find(self, service: str) -> list[str]:
        """Return the current addresses of a service."""
        answers = self._node.find_value(key_of(service))
        found = {address_in(value) for answer in answers for value in answer.values}
        return sorted(address for address in found if address)


def key_of(service: str) -> bytes:
    """Return the key of a service."""
    return kademlua.sha1(f"service: {service}")


def address_in(value: Any) -> str | None:
    """Return the address in a value, if it is one. Any node may have written it."""
    if not isinstance(value, bytes):
        return None
    text = value[:100].decode(errors="replace")
    return text if text.isprintable() else None


def announce_until_interrupted(registry: Registry, service: str, address: str, ttl: float) -> None:
    """Publish an address until ^C."""
    count = registry.announce(service, address, ttl)
    try:
        print(f"{service} at {address}, stored on {count} nodes", flush=True)
        while True:
            time.sleep(60)  # the node renews the address
    except KeyboardInterrupt:
        registry.withdraw(service)


def main() -> None:
    """Parse the command line and run a command."""
    parser = argparse.ArgumentParser(description="A registry of services.")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", default="127.0.0.1:8001")
    parser.add_argument("--ttl", type=float, default=30.0, metavar="SECONDS")
    commands = parser.add_subparsers(dest="command", required=True)
    announce = commands.add_parser("announce")
    announce.add_argument("service")
    announce.add_argument("address")
    find = commands.add_parser("find")
    find.add_argument("service")
    options = parser.parse_args()

    host, _, port = options.bootstrap.rpartition(":")
    read_only = options.command == "find"  # runs too briefly to serve other nodes
    with kademlua.ThreadedNode(bootstrap=[(host, int(port))], read_only=read_only) as node:
        if not node.joined:
            raise SystemExit(f"no node answers at {options.bootstrap}; start one there")
        registry = Registry(node)
        if options.command == "announce":
            announce_until_interrupted(registry, options.service, options.address, options.ttl)
        else:
            for address in registry.find(options.service):
                print(address)


if __name__ == "__main__":
    main()
