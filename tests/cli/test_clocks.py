"""Nodes as processes whose machine sleeps, or whose wall clock is set."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kademlua import sha1
from kademlua.control.client import ControlClient
from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets
from tests.cli.conftest import TIMEOUT, Launcher
from tests.support import fake_clocks
from tests.support.fake_clocks import FakeClocks

SKIP_REASON = fake_clocks.skip_reason()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(SKIP_REASON is not None, reason=SKIP_REASON or ""),
]
HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400
KEY, OTHER = sha1("key"), sha1("other")


class ClockedNode:
    """A node with a data directory, on clocks that the test sets."""

    def __init__(self, launch: Launcher, directory: Path) -> None:
        self._launch = launch
        self._data = directory / "data"
        self.clocks = FakeClocks(directory)
        self._launch.env |= self.clocks.environment
        self.start()

    def start(self) -> None:
        self.process, address = self._launch.node("--data", str(self._data))
        host, port = address.rsplit(":", 1)
        self.endpoint: Endpoint = (host, int(port))

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.popen.send_signal(number)
        self.process.wait()

    def ask(self, name: str, **fields: Any) -> dict[str, Any]:
        with ControlClient(self._data / "control.sock") as client:
            return client.call(name, **fields)

    def add(self, key: bytes, ttl: int) -> None:
        self.ask("add", key=key.hex(), value="v", ttl=ttl)

    def remaining(self) -> dict[bytes, float]:
        """Return the seconds that each stored value has left."""
        with ControlClient(self._data / "control.sock") as client:
            rows = list(client.stream("stored"))
        return {bytes.fromhex(row["key"]): row["remaining_seconds"] for row in rows}

    def has_found(self, key: bytes) -> bool:
        return bool(self.ask("find", key=key.hex())["answers"])


@pytest.fixture
def node(launch: Launcher, tmp_path: Path) -> Iterator[ClockedNode]:
    clocked = ClockedNode(launch, tmp_path)
    yield clocked
    clocked.process.popen.send_signal(signal.SIGCONT)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.1)


def test_value_expires_while_the_machine_sleeps(node: ClockedNode) -> None:
    node.add(KEY, ttl=HOUR)
    node.add(OTHER, ttl=7 * DAY)
    node.process.popen.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(1)
        ping = packets.encode_request_payload(b"ping", b"", read_only=False)
        peer.sendto(packets.encode_request(os.urandom(20), os.urandom(8), ping), node.endpoint)
        node.clocks.sleep(60 * HOUR)
        node.process.popen.send_signal(signal.SIGCONT)
        with pytest.raises(TimeoutError):
            peer.recv(1_000)
    assert not node.has_found(KEY)
    assert node.has_found(OTHER)
    assert node.remaining() == {OTHER: pytest.approx(7 * DAY - 60 * HOUR, abs=60)}
    assert node.ask("stats")["dropped"]["stale"] == 1


def test_publication_is_stored_again_when_the_machine_wakes(node: ClockedNode) -> None:
    node.ask("publish", key=KEY.hex(), value="v", ttl=DAY)
    node.clocks.sleep(60 * HOUR)
    wait_until(lambda: node.remaining().get(KEY, 0) > DAY - HOUR)


@pytest.mark.parametrize("step", [-YEAR, -3 * DAY, 3 * DAY, YEAR])
def test_wall_clock_is_set(node: ClockedNode, step: int) -> None:
    node.add(KEY, ttl=10 * DAY)
    node.add(OTHER, ttl=6)
    node.clocks.set_wall_clock(step)
    wait_until(lambda: OTHER not in node.remaining())
    node.stop()
    node.clocks.set_wall_clock(-2 * step)
    node.clocks.sleep(HOUR)
    node.start()
    node.add(OTHER, ttl=DAY)
    node.stop(signal.SIGKILL)
    node.clocks.set_wall_clock(step)
    node.clocks.sleep(HOUR)
    node.start()
    assert node.remaining() == {
        KEY: pytest.approx(10 * DAY - 2 * HOUR, abs=60),
        OTHER: pytest.approx(DAY - HOUR, abs=60),
    }
