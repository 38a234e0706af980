"""A node in a process of its own under a flood, and an honest peer that finds values there.

``python -m tests.support.floods`` prints the figures of docs/security.md.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.socket import wait_read

from kademlua import Node, Params, sha1
from kademlua.core.contact import Endpoint
from tests.support.spoofing import Spoofer, find_node, source

VALUES = 50
UNBOUND = Params(private_apart=False, **dict.fromkeys(
    ("requests_per_source", "requests_of_strangers"), 10_000_000))  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """What an honest peer saw, and what the node took in meanwhile."""

    found: float
    """Part of the finds that found."""
    p50: float
    """Seconds."""
    p99: float
    finds: int
    arrived: float
    """Datagrams a second."""
    throttled: float
    """Of these."""
    cpu: float
    """Seconds of CPU that the node had in a second."""


def capacity(seconds: float = 2.0) -> tuple[float, float]:
    """Requests that a node serves in a second, with all bounds off: on this machine as busy as
    it is now, and in a second of CPU."""
    with _Served(UNBOUND) as node:
        flood = _flood(node.endpoint, 1_000_000, seconds, 1)
        before = node.stats()
        time.sleep(seconds)
        after = node.stats()
        flood.wait()
    served = sum(after["requests"].values()) - sum(before["requests"].values())
    took = after["seconds"] - before["seconds"], after["cpu"] - before["cpu"]
    return served / took[0], served / took[1]


def under_flood(rate: float, sources: int, seconds: float = 4.0) -> Figures:
    """Flood a node so fast from so many sources, and find values there all the while."""
    with _Served(Params()) as served, Node(bootstrap=[served.endpoint]) as peer:
        keys = [sha1(f"key {number}") for number in range(VALUES)]
        for key in keys:
            peer.add(key, b"value")
            peer.datastore.remove(key, peer.contact)  # to be found there only
        flood = _flood(served.endpoint, rate, seconds + 1, sources)
        gevent.sleep(0.5)
        before, times, found = served.stats(), [], 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            found += bool(peer.find_value(random.choice(keys), answers=1))
            times.append(time.perf_counter() - began)
            gevent.sleep(0.002)
        after = served.stats()
        flood.kill()
        flood.wait()
    times.sort()
    took = after["seconds"] - before["seconds"]
    return Figures(
        found=found / len(times),
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
        finds=len(times),
        arrived=(after["packets_in"] - before["packets_in"]) / took,
        throttled=sum(after["throttled"].values()) / took,
        cpu=(after["cpu"] - before["cpu"]) / took,
    )


def _flood(to: Endpoint, rate: float, seconds: float, sources: int) -> subprocess.Popen[str]:
    args = [to[0], to[1], rate, seconds, sources]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.floods", "flood", *map(str, args)], text=True
    )


class _Served:
    """A node in a process of its own; a line on its input is answered with its counters."""

    def __init__(self, params: Params) -> None:
        apart = str(int(params.private_apart))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.floods", "serve", apart],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint = ("127.0.0.1", int(self._line()))

    def __enter__(self) -> _Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stats(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        wait_read(self._process.stdout.fileno())
        return self._process.stdout.readline()


def _serve(apart: str) -> None:
    with Node(params=Params() if apart == "1" else UNBOUND) as node:
        print(node.contact.port, flush=True)
        while True:
            wait_read(0)
            if not sys.stdin.readline():
                return
            print(json.dumps(node.stats() | {"cpu": time.process_time()}), flush=True)


def _send_flood(addr: str, port: str, rate: str, seconds: str, sources: str) -> None:
    rng = random.Random(1)
    spoofer = Spoofer((addr, int(port)))
    packets = [find_node(rng) for _ in range(2_000)]
    addresses = [source(number) for number in range(int(sources))]
    began = time.monotonic()
    end, sent = began + float(seconds), 0
    while (now := time.monotonic()) < end:
        if sent > (now - began) * float(rate):
            time.sleep(0.0005)
            continue
        for _ in range(20):
            try:
                spoofer.send(packets[sent % len(packets)], addresses[sent % len(addresses)])
            except BlockingIOError:
                break
            sent += 1


def main() -> None:
    wall, served = capacity()
    print(f"a node serves {wall:,.0f} findnodes in a second, {served:,.0f} in one of CPU")
    for rate, sources in ((1, 1), (2 * served, 1), (2 * served, 10_000)):
        print(f"{rate:,.0f} a second from {sources} sources:", under_flood(rate, sources))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", apart]:
            _serve(apart)
        case ["flood", addr, port, rate, seconds, sources]:
            _send_flood(addr, port, rate, seconds, sources)
        case _:
            main()
