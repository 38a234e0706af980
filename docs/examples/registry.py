"""A registry of services with a time to live, in a plain program that knows nothing of gevent.

    python registry.py announce web 192.0.2.1:80
    python registry.py find web

With a node on port 8001 (``kademlua node 8001``), or another one: ``--bootstrap HOST:PORT``.

A service is a key. Each instance keeps its address there, and says so again and again; one that
does so no more is forgotten after its time to live.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import kademlua


class Registry:
    """Who offers what."""

    def __init__(self, node: kademlua.ThreadedNode, ttl: float) -> None:
        """What is announced lives for ``ttl`` seconds."""
        self._node = node
        self._ttl = ttl

    def announce(self, service: str, address: str) -> int:
        """Say once that a service is at an address; how many nodes keep it."""
        value = {"address": address, "until": int(time.time() + self._ttl)}
        return len(self._node.add(key_of(service), value).acknowledged)

    def withdraw(self, service: str) -> None:
        """Say that it is not there any more: this node has one value of a key, the last."""
        self._node.add(key_of(service), {})

    def find(self, service: str) -> list[str]:
        """The addresses at which a service is now."""
        answers = self._node.find_value(key_of(service))
        found = {address_in(value) for answer in answers for value in answer.values}
        return sorted(address for address in found if address)


def key_of(service: str) -> bytes:
    """Where the instances of a service are kept."""
    return kademlua.sha1(f"service: {service}")


def address_in(value: Any) -> str | None:
    """The address in a value, if its time is not over. Anybody may have written it."""
    match value:
        case {b"address": bytes(address), b"until": int(until)} if time.time() < until:
            text = address[:100].decode(errors="replace")
            return text if text.isprintable() else None
    return None


def keep_announcing(registry: Registry, service: str, address: str, ttl: float) -> None:
    """Announce until ^C, three times as often as needed: a time may fail."""
    try:
        while True:
            try:
                kept = registry.announce(service, address)
                print(f"{service} at {address}, kept by {kept}", flush=True)
            except kademlua.KademluaError as error:
                print(f"not this time: {error}", file=sys.stderr, flush=True)
            time.sleep(ttl / 3)
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
        registry = Registry(node, asked.ttl)
        if asked.command == "announce":
            keep_announcing(registry, asked.service, asked.address, asked.ttl)
        else:
            for address in registry.find(asked.service):
                print(address)


if __name__ == "__main__":
    main()
