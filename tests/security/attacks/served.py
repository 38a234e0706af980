"""The node under attack, in a process of its own.

It holds a thousand values of 14 kB under one key, on disk. It prints its UDP and HTTP ports. A line
on its input makes it find the liars' key, again and again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

import gevent
from gevent.socket import wait_read

from kademlua import Contact, Node, NodeOptions, Params, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import replies
from kademlua.http.service import HttpService
from kademlua.storage.node_state import NodeState

HEAVY_KEY = sha1("a key with many values")
LIARS_KEY = sha1("a key near the liars")
_HEAVY_COUNT = 1_000
_HEAVY_BYTES = 14_000
_PARAMS = Params(exempt_private=False)
"""Loopback addresses count as public ones: the attack comes from the internet."""


class ServedNode:
    """Such a process; a context manager."""

    def __init__(self, cpu: int, value_count: int = _HEAVY_COUNT) -> None:
        # The process is killed, because it may be too busy to end by itself.
        self._directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._directory.name, str(cpu), str(value_count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        udp_port, http_port = self._read_line().split()
        self.endpoint: Endpoint = ("127.0.0.1", int(udp_port))
        self.http_endpoint: Endpoint = ("127.0.0.1", int(http_port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()

    def start_reading(self) -> None:
        """Have the node find the liars' key."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def memory_bytes(self) -> int:
        """Return its memory without the pages of its files."""
        return memory_of(self._process.pid)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        wait_read(self._process.stdout.fileno())
        return self._process.stdout.readline()


def memory_of(pid: int) -> int:
    """Return the bytes of anonymous memory of a process, on Linux."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def _serve(path: Path, value_count: int) -> None:
    state = NodeState(path, _PARAMS)
    node = Node(params=_PARAMS, options=NodeOptions(store=state.store))
    _fill(node, value_count)
    state.flush()
    node.start()
    service = HttpService(node, ("127.0.0.1", 0), "token")
    service.start()
    print(node.contact.port, service.local_endpoint[1], flush=True)
    wait_read(0)
    sys.stdin.readline()
    _read_forever(node)


def _fill(node: Node, value_count: int) -> None:
    now = node.now
    for number in range(value_count):
        addr = f"127.{9 + (number >> 8)}.{number & 255}.1"  # in a subnet of its own
        owner = Contact(addr, 4_000, sha1(f"owner {number}"))
        encoded = replies.encode_value(number.to_bytes(2, "big") * (_HEAVY_BYTES // 2))
        node.datastore.put(HEAVY_KEY, owner, StoreEntry(encoded, now + 86_400, received_at=now))


def _read_forever(node: Node) -> None:
    while True:
        with suppress(KademluaError):
            node.find_value(LIARS_KEY)
        gevent.sleep(0.01)


def main() -> None:
    """Serve until the process is killed."""
    path, cpu, value_count = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu)})
    _serve(Path(path), int(value_count))


if __name__ == "__main__":
    main()
