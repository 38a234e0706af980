"""A node as a service: messages to the service manager, log files and SIGHUP."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("watchdog", ["0", "-5", "soon"])
def test_node_without_valid_watchdog_timeout_sends_no_heartbeat(
    launch: Launcher, manager: Callable[[], dict[str, str]], watchdog: str
) -> None:
    launch.env["WATCHDOG_USEC"] = watchdog
    process, _ = launch.node()
    assert manager()["READY"] == "1"
    process.popen.terminate()
    assert manager() == {"STOPPING": "1"}
    assert process.wait() == 0


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


def test_log_may_be_json(launch: Launcher, tmp_path: Path) -> None:
    process, _ = launch.node("--log-file", "node.log", "--log-format", "json")
    node_id = process.out.text.split()[2]
    process.popen.terminate()
    assert process.wait() == 0
    lines = [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert lines[-1]["message"] == "ended"
    assert lines[-1]["level"] == "info"
    assert {line["node"] for line in lines if "node" in line} == {node_id}


def test_sighup_reopens_log_file(launch: Launcher, tmp_path: Path) -> None:
    process, _ = launch.node("--log-file", "node.log")
    log = tmp_path / "node.log"
    log.rename(tmp_path / "former.log")
    process.popen.send_signal(signal.SIGHUP)
    # No record is lost, and the node continues.
    process.popen.terminate()
    assert process.wait() == 0
    assert "ended" in log.read_text()
    assert "ended" not in (tmp_path / "former.log").read_text()


def test_sighup_ends_a_node_without_a_log_file(launch: Launcher) -> None:
    process, _ = launch.node()
    process.popen.send_signal(signal.SIGHUP)
    assert process.wait() == 0


def test_discovery_without_zeroconf_is_one_line(launch: Launcher, failed) -> None:
    code = "import sys; sys.modules['zeroconf'] = None; from kademlua.cli import main; main()"
    line = failed(launch.python(code, "node", "0", "--memory", "--discover"), 1)
    assert line == "Error: zeroconf is not installed; run: pip install 'kademlua[discover]'\n"
