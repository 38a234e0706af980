"""A registry of services with a time to live, in a plain program that knows nothing of gevent.

    python registry.py announce web 192.0.2.1:80
    python registry.py find web

With a node on port 8001 (``kademlua node 8001``), or another one: ``--bootstrap HOST:PORT``.

A service is a key. Each instance publishes its address there, which is stored again before its time
is over; one that does so no more is forgotten after its time to live.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import kademlua


class Registry:
    """Who offers what."""

    def __init__(self, node: kademlua.ThreadedNode) -> None:
        self._node = node

    def announce(self, service: str, address: str, ttl: float) -> int:
        """Say from now on that a service is at an address; how many nodes keep it.

        It is forgotten ``ttl`` seconds after this node is gone without a word.
        """
        return len(self._node.publish(key_of(service), address, ttl=ttl).acknowledged)

    def withdraw(self, service: str) -> None:
        """Say that it is not there any more."""
        self._node.remove(key_of(service))

    def find(self, service: str) -> list[str]:
        """The addresses at which a service is now."""
        answers = self._node.find_value(key_of(service))
        found = {address_in(value) for answer in answers for value in answer.values}
        return sorted(address for address in found if address)


def key_of(service: str) -> bytes:
    """Where the instances of a service are kept."""
    return kademlua.sha1(f"service: {service}")


def address_in(value: Any) -> str | None:
    """The address in a value. Anybody may have written it."""
    if not isinstance(value, bytes):
        return None
    text = value[:100].decode(errors="replace")
    return text if text.isprintable() else None


def announce_until_interrupted(registry: Registry, service: str, address: str, ttl: float) -> None:
    """Be found until ^C."""
    kept = registry.announce(service, address, ttl)
    try:
        print(f"{service} at {address}, kept by {kept}", flush=True)
        while True:
            time.sleep(60)  # the node sees to it
    except KeyboardInterrupt:
        registry.withdraw(service)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A registry of services.")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", default="127.0.0.1:8001")
    parser.add_argument("--ttl", type=float, default=30.0, metavar="SECONDS")
    commands = parser.add_subparsers(dest="command", required=True)
    announce = commands.add_parser("announce")
    announce.add_argument("service")
    announce.add_argument("address")
    find = commands.add_parser("find")
    find.add_argument("service")
    asked = parser.parse_args()

    host, _, port = asked.bootstrap.rpartition(":")
    is_passing = asked.command == "find"  # it is no node for others to rely on
    with kademlua.ThreadedNode(bootstrap=[(host, int(port))], read_only=is_passing) as node:
        if not node.joined:
            raise SystemExit("nobody answers there")
        registry = Registry(node)
        if asked.command == "announce":
            announce_until_interrupted(registry, asked.service, asked.address, asked.ttl)
        else:
            for address in registry.find(asked.service):
                print(address)


if __name__ == "__main__":
    main()
