"""A node as a service: messages to the service manager, log files and SIGHUP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gevent.socket import wait_read

from kademlua import Node
from kademlua.build import install_command
from kademlua.cli.sd_notify import SystemdNotifier
from tests.cli.conftest import TIMEOUT, Launcher


@pytest.fixture
def manager(tmp_path: Path, launch: Launcher) -> Iterator[Callable[[], dict[str, str]]]:
    """Return the fields of the next message to the service manager."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.settimeout(TIMEOUT)
        launch.env |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000"}
        yield lambda: dict(line.split("=", 1) for line in channel.recv(4096).decode().split("\n"))


def test_node_notifies_service_manager(
    launch: Launcher, manager: Callable[[], dict[str, str]]
) -> None:
    process, _ = launch.node()
    assert manager() == {"READY": "1", "STATUS": "joined, 0 contacts"}
    for _ in range(3):
        assert manager() == {"WATCHDOG": "1", "STATUS": "joined, 0 contacts"}
    process.popen.terminate()
    while (message := manager()) != {"STOPPING": "1"}:
        assert "WATCHDOG" in message
    assert process.wait() == 0


LONG = pytest.param("9" * 5_000, id="long")


@pytest.mark.parametrize("usec", ["0", "-5", "9999", "abc", "", "1.5", LONG])
def test_watchdog_without_a_sensible_timeout_is_ignored(
    launch: Launcher, manager: Callable[[], dict[str, str]], usec: str
) -> None:
    launch.env["WATCHDOG_USEC"] = usec
    process, _ = launch.node("--log-level", "warning")
    assert manager()["READY"] == "1"
    process.popen.terminate()
    assert manager() == {"STOPPING": "1"}
    warnings = process.err.read_rest().splitlines()
    assert len(warnings) == 1
    assert f"WATCHDOG_USEC={usec[:40]} is ignored" in warnings[0]


def test_stuck_maintenance_does_not_feed_the_watchdog(
    tmp_path: Path, make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        node = make_node()
        monkeypatch.setattr(Node, "healthy", False)
        with SystemdNotifier(node):
            messages = []
            for _ in range(3):
                wait_read(channel.fileno())
                messages.append(channel.recv(4096).decode())
    assert messages[0].startswith("READY=1")
    assert messages[1:] == ["STATUS=maintenance is stuck"] * 2


def test_status_tells_that_the_node_has_not_joined(
    launch: Launcher, manager: Callable[[], dict[str, str]]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        launch.node("--bootstrap", f"127.0.0.1:{silent.getsockname()[1]}")
        assert manager() == {"READY": "1", "STATUS": "not joined yet, 0 contacts"}


def test_missing_service_manager_is_harmless(
    launch: Launcher, manager: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "notify").unlink()
    process, _ = launch.node()
    process.err.expect("can't notify the service manager: No such file or directory")
    process.popen.terminate()
    assert process.wait() == 0


def test_discovery_without_zeroconf_is_one_line(launch: Launcher, failed) -> None:
    code = "import sys; sys.modules['zeroconf'] = None; from kademlua.cli import main; main()"
    line = failed(launch.python(code, "node", "0", "--memory", "--discover"), 1)
    assert line == f"Error: zeroconf is not installed; run: {install_command('discover')}\n"
