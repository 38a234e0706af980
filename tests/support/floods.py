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
from tests.support.spoofing import Spoofer, findnode_request, spoofed_address

VALUE_COUNT = 50
UNLIMITED = Params(exempt_private=False, **dict.fromkeys(
    ("request_time_per_subnet", "unvalidated_request_time"), 1_000))  # fmt: skip


@dataclass(frozen=True)
class FloodResult:
    """What an honest peer saw, and what the node took in meanwhile."""

    found_share: float
    """Part of the finds that found."""
    p50: float
    """Seconds."""
    p99: float
    find_count: int
    arrivals_per_second: float
    """Datagrams a second."""
    throttled_per_second: float
    """Of these."""
    cpu_share: float
    """Seconds of CPU that the node had in a second."""


def capacity(seconds: float = 2.0) -> tuple[float, float]:
    """Requests that a node serves in a second, with all bounds off: on this machine as busy as
    it is now, and in a second of CPU."""
    with _NodeProcess(UNLIMITED) as node:
        flood = _flood(node.endpoint, 1_000_000, seconds, 1)
        stats_before = node.stats()
        time.sleep(seconds)
        stats_after = node.stats()
        flood.wait()
    served = sum(stats_after["requests_by_rpc"].values()) - sum(
        stats_before["requests_by_rpc"].values()
    )
    elapsed = (
        stats_after["seconds"] - stats_before["seconds"],
        stats_after["cpu"] - stats_before["cpu"],
    )
    return served / elapsed[0], served / elapsed[1]


def under_flood(rate: float, sources: int, seconds: float = 4.0) -> FloodResult:
    """Flood a node so fast from so many sources, and find values there all the while."""
    with _NodeProcess(Params()) as served, Node(bootstrap=[served.endpoint]) as peer:
        keys = [sha1(f"key {number}") for number in range(VALUE_COUNT)]
        for key in keys:
            peer.add(key, b"value")
            peer.datastore.remove(key, peer.contact)  # to be found there only
        flood = _flood(served.endpoint, rate, seconds + 1, sources)
        gevent.sleep(0.5)
        stats_before, times, found = served.stats(), [], 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            started_at = time.perf_counter()
            found += bool(peer.find_value(random.choice(keys), max_nodes=1))
            times.append(time.perf_counter() - started_at)
            gevent.sleep(0.002)
        stats_after = served.stats()
        flood.kill()
        flood.wait()
    times.sort()
    elapsed = stats_after["seconds"] - stats_before["seconds"]
    return FloodResult(
        found_share=found / len(times),
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
        find_count=len(times),
        arrivals_per_second=(stats_after["packets_in"] - stats_before["packets_in"]) / elapsed,
        throttled_per_second=sum(stats_after["rate_limited"].values()) / elapsed,
        cpu_share=(stats_after["cpu"] - stats_before["cpu"]) / elapsed,
    )


def _flood(to: Endpoint, rate: float, seconds: float, sources: int) -> subprocess.Popen[str]:
    args = [to[0], to[1], rate, seconds, sources]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.floods", "flood", *map(str, args)], text=True
    )


class _NodeProcess:
    """A node in a process of its own; a line on its input is answered with its counters."""

    def __init__(self, params: Params) -> None:
        exempt_private = str(int(params.exempt_private))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.floods", "serve", exempt_private],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint = ("127.0.0.1", int(self._read_line()))

    def __enter__(self) -> _NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stats(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._read_line())
        return found

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        wait_read(self._process.stdout.fileno())
        return self._process.stdout.readline()


def _serve(exempt_private: str) -> None:
    with Node(params=Params() if exempt_private == "1" else UNLIMITED) as node:
        print(node.contact.port, flush=True)
        while True:
            wait_read(0)
            if not sys.stdin.readline():
                return
            print(json.dumps(node.stats() | {"cpu": time.process_time()}), flush=True)


def _send_flood(addr: str, port: str, rate: str, seconds: str, sources: str) -> None:
    rng = random.Random(1)
    spoofer = Spoofer((addr, int(port)))
    packets = [findnode_request(rng) for _ in range(2_000)]
    addresses = [spoofed_address(number) for number in range(int(sources))]
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
