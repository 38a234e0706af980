"""Benchmarks of HTTP: finds per second, the cost of metrics, and pings during attacks.

    python -m tests.http.figures [--seconds 5]

The measured node runs in its own process, and its network in another one. wrk sends the finds, if
it is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent

import kademlua
from tests.http.hostile import KINDS

_ROUNDS = 5
_TICKS = os.sysconf("SC_CLK_TCK")

_NETWORK = """
import kademlua
pool = kademlua.ContactPool()
first = kademlua.Node(options=kademlua.NodeOptions(contact_pool=pool))
first.start()
options = kademlua.NodeOptions(contact_pool=pool)
nodes = [kademlua.Node(bootstrap=[first.contact.endpoint], options=options) for _ in range(60)]
for node in nodes:
    node.start()
assert all(node.wait_joined(30) for node in nodes)
for number in range(100):
    nodes[0].add(kademlua.sha1(f"key {number}"), b"value")
print(first.contact.port, flush=True)
first.wait_closed()
"""

_NODE = """
import sys, kademlua
from kademlua.http.service import HttpService
with kademlua.Node(bootstrap=[("127.0.0.1", int(sys.argv[1]))]) as node:
    service = HttpService(node, ("127.0.0.1", 0), "a-token-for-figures")
    service.start()
    print(service.local_endpoint[1], node.contact.port, flush=True)
    node.wait_closed()
"""

_BUSY = """
import sys, time, kademlua
from kademlua.http.service import HttpService
with kademlua.Node(bootstrap=[("127.0.0.1", int(sys.argv[1]))]) as node:
    service = HttpService(node, ("127.0.0.1", 0), "a-token-for-figures")
    service.start()
    print(service.local_endpoint[1], flush=True)
    keys = [kademlua.sha1(f"key {number}") for number in range(100)]
    for line in sys.stdin:
        until, finds, began = time.monotonic() + float(line), 0, time.process_time()
        while time.monotonic() < until:
            for key in keys:
                node.find_value(key, 1)
            finds += len(keys)
        print((time.process_time() - began) / finds, flush=True)
"""
"""Runs finds for the seconds in each line of its input, and prints the cost of a find."""


_CLIENT = """
import sys, threading, time, urllib.request
url, kind = sys.argv[1:]
def ask(path):
    return urllib.request.urlopen(url + path)
def listen():
    with ask("/v1/events") as stream:
        while stream.read1(65_536):
            pass
if "page" in kind:
    threading.Thread(target=listen, daemon=True).start()
second = 0
while True:
    if "page" in kind and second % 5 == 0:
        ask("/v1/contacts").read()
    if "scraped" in kind:
        ask("/metrics").read()
    second += 1
    time.sleep(1)
"""
"""Sends the requests of Prometheus and the page."""


@contextmanager
def process(code: str, *args: object) -> Iterator[tuple[subprocess.Popen[bytes], list[float]]]:
    """Run a Python program; yield it and the numbers in the first line that it prints."""
    command = [sys.executable, "-c", code, *map(str, args)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as popen:
        try:
            yield popen, numbers(popen)
        finally:
            popen.kill()


def numbers(popen: subprocess.Popen[bytes]) -> list[float]:
    """Return the numbers in the next line that a process prints."""
    assert popen.stdout is not None
    return [float(each) for each in popen.stdout.readline().split()]


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def finds(seconds: float, network: int) -> None:
    """Measure finds per second at 32 connections, and the processor time of each."""
    if shutil.which("wrk") is None:
        print("finds: wrk is not installed")
        return
    with process(_NODE, network) as (popen, (port, _)):
        for path in ("/v1/values/key%207?answers=1", "/v1/values/key%207", "/healthz"):
            rates, costs = [], []
            for _ in range(_ROUNDS):
                before = processor_seconds(popen.pid)
                url = f"http://127.0.0.1:{port:.0f}{path}"
                command = ["wrk", "-t1", "-c32", f"-d{seconds:.0f}", url]
                report = subprocess.run(command, capture_output=True, text=True).stdout
                assert "Non-2xx" not in report, report
                rate = float(report.split("Requests/sec:")[1].split()[0])
                rates.append(rate)
                costs.append((processor_seconds(popen.pid) - before) / (rate * seconds))
            cost = statistics.median(costs)
            print(
                f"{path}: {statistics.median(rates):,.0f} a second;"
                f" {cost * 1e6:.0f} µs of the node's processor each, {1 / cost:,.0f} on a whole one"
            )


def metrics(seconds: float, network: int) -> None:
    """Measure the cost of a scrape per second, and of an open page, for a busy node."""
    costs: dict[str, list[float]] = {"alone": [], "scraped": [], "scraped, page open": []}
    with process(_BUSY, network) as (popen, (port,)):
        assert popen.stdin is not None
        for _ in range(4 * _ROUNDS):  # interleaved, because the speed of the machine varies more
            for kind, found in costs.items():
                client = [sys.executable, "-c", _CLIENT, f"http://127.0.0.1:{port:.0f}", kind]
                with subprocess.Popen(client) as looking:
                    time.sleep(0.5)
                    popen.stdin.write(b"%f\n" % (seconds / 2))
                    popen.stdin.flush()
                    found.extend(numbers(popen))
                    looking.kill()
    for kind, found in costs.items():
        ratios = [with_it / alone - 1 for with_it, alone in zip(found, costs["alone"], strict=True)]
        print(
            f"a find, {kind}: {statistics.median(found) * 1e6:.0f} µs of processor;"
            f" median of the rounds' ratios {statistics.median(ratios):+.1%}"
        )


def hostile(network: int) -> None:
    """Measure the round trip of a ping during attacks."""
    with process(_NODE, network) as (_, (port, udp)), kademlua.Node() as node:
        print(f"ping, without an attack: {pings(node, int(udp))}")
        for kind in sorted(KINDS):
            count = 1_000 if kind in ("half_open", "refused") else 50
            command = [sys.executable, "-m", "tests.http.hostile", f"{port:.0f}", kind, str(count)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
                assert popen.stdout is not None
                popen.stdout.readline()
                print(f"ping, {count:,} × {kind}: {pings(node, int(udp))}")
                popen.kill()
            gevent.sleep(1)


def pings(node: kademlua.Node, port: int) -> str:
    """Return the times of consecutive pings, and the number without a reply."""
    times, lost = [], 0
    for _ in range(1_000):
        try:
            times.append(node.ping(("127.0.0.1", port)).rtt * 1e3)
        except TimeoutError:
            lost += 1
        gevent.sleep(0.001)
    times.sort()
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"p50 {middle:.2f} ms, p99 {late:.2f} ms, longest {times[-1]:.2f} ms, {lost} lost"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    with process(_NETWORK) as (_, (network,)):
        finds(seconds, int(network))
        metrics(seconds, int(network))
        hostile(int(network))


if __name__ == "__main__":
    main()
