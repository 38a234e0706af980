from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from kademlua.core.ids import sha1
from tests.cli.conftest import TIMEOUT, Launcher, Output, free_port


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def test_first_line_shows_id_and_address(launch):
    node_id = sha1("me").hex()
    process = launch.start("node", "0", "--no-bootstrap", "--no-shell", "--id", node_id.upper())
    port = process.out.expect(rf"\Akademlua node {node_id} listening on 127\.0\.0\.1:(\d+)\n")[1]
    done = launch.run("ping", f"127.0.0.1:{port}", "--json")
    assert json.loads(done.stdout)["id"] == node_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_node_cleanly(launch, number):
    process, _ = launch.node()
    process.popen.send_signal(number)
    assert process.wait() == 0
    assert process.out.read_rest() == ""
    log = process.err.read_rest()
    assert "Traceback" not in log
    assert log.endswith("ended\n")


def test_signals_end_bootstrapping_node(launch):
    process, _ = launch.node("--bootstrap", f"127.0.0.1:{free_port()}")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.err.read_rest()


def test_port_in_use_is_reported(launch, failed):
    _, address = launch.node()
    line = failed(launch.run("node", address.rpartition(":")[2]), 1)
    assert address in line
    assert "in use" in line


def test_address_of_another_machine_is_refused(launch, failed):
    assert "192.0.2.1" in failed(launch.run("node", "0", "--host", "192.0.2.1"), 1)


def test_invalid_host_is_refused(launch, failed):
    assert "no.such.invalid" in failed(launch.run("node", "0", "--host", "no.such.invalid"), 1)


def test_two_nodes_meet_by_bootstrap(launch):
    _, address = launch.node()
    other, _ = launch.node("--bootstrap", address)
    other.err.expect("joined, 1 contact$")
    done = launch.run("lookup", "x", "--via", address, "--json")
    assert len(json.loads(done.stdout)["contacts"]) == 2


def test_dead_bootstrap_node_is_logged_once_and_joined_later(launch, tmp_path):
    port = free_port()
    config = tmp_path / "quick.toml"
    config.write_text("rpc_timeout = 0.05\nbootstrap_retry = 0.05\nbootstrap_retry_max = 0.05\n")
    waiting, _ = launch.node("--bootstrap", f"127.0.0.1:{port}", "--config", str(config))
    waiting.err.expect("WARNING .*no node answers at the bootstrap addresses")
    late = launch.start("node", str(port), "--no-bootstrap", "--no-shell")
    late.out.expect("listening")
    before_joining = waiting.err.expect(r"(?s)(.*?)joined")[1]
    assert "no node answers" not in before_joining


def test_default_bootstrap_is_control_port(launch):
    help_text = re.sub(r"\s+", " ", launch.run("node", "--help").stdout.decode())
    assert "[default: 127.0.0.1:8001, or [::1]:8001 from IPv6; none for PORT 8001" in help_text


@needs_ipv6
def test_ipv6(launch):
    _, address = launch.node("--host", "::1")
    assert re.fullmatch(r"\[::1\]:\d+", address)
    other, _ = launch.node("--host", "[::1]", "--bootstrap", address)
    other.err.expect("joined")
    assert launch.run("add", "k", "v6", "--via", address).stdout == b"stored on 2 nodes\n"
    assert launch.run("find", "k", "--via", address).stdout == b"v6\n"
    assert launch.run("ping", address).returncode == 0


@needs_ipv6
def test_listening_on_everything_serves_ipv4_and_ipv6(launch):
    _, address = launch.node("--host", "::")
    port = address.rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        assert launch.run("ping", f"{host}:{port}").returncode == 0


def test_loopback_node_with_remote_bootstrap_warns(launch):
    process, _ = launch.node("--bootstrap", "192.0.2.1:8001")
    process.err.expect("WARNING .*127.0.0.1 reaches only this machine; use --host 0.0.0.0")


def test_log_file_and_level(launch, tmp_path):
    path = tmp_path / "node.log"
    path.write_text("before\n")
    _, address = launch.node()
    process, _ = launch.node("--bootstrap", address, "--log-file", str(path))
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert process.err.read_rest() == ""
    assert path.read_text().startswith("before\n")
    assert path.read_text().endswith("ended\n")

    process, _ = launch.node("--log-level", "WARNING")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert process.err.read_rest() == ""


def test_unwritable_log_file_is_reported(launch, tmp_path, failed):
    path = tmp_path / "none" / "node.log"
    assert str(path) in failed(launch.run("node", "0", "--log-file", str(path)), 1)


def test_killed_node_leaves_its_port_free(launch):
    process, address = launch.node()
    process.popen.kill()
    assert process.wait() == -signal.SIGKILL
    again = launch.start("node", address.rpartition(":")[2], "--no-bootstrap", "--no-shell")
    again.out.expect(f"listening on {re.escape(address)}\n")


def test_closed_output_ends_the_shell_without_error(launch):
    process = launch.start("node", "0", "--no-bootstrap", "--shell")
    process.out.expect("listening")
    process.popen.stdout.close()
    process.type("1\n2\n")
    process.end_input()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.err.read_rest()


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def pipe_without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("open_stdout", [full_disk, pipe_without_reader])
def test_node_runs_without_usable_stdout(launch: Launcher, open_stdout: Callable[[], int]) -> None:
    port = str(free_port())
    stdout = open_stdout()
    command = [sys.executable, "-m", "kademlua", "node", port, "--no-bootstrap", "--no-shell"]
    with subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, env=launch.env, cwd=launch.home
    ) as process:
        os.close(stdout)
        try:
            assert process.stderr is not None
            log = Output(process.stderr.fileno())
            log.expect("WARNING .*can't write to <stdout>: ")
            assert launch.run("ping", f"127.0.0.1:{port}").returncode == 0
            process.terminate()
            assert process.wait(TIMEOUT) == 0
            assert log.read_rest().endswith("ended\n")
        finally:
            process.kill()


def test_ending_node_sends_leave(launch):
    first = launch.start("node", "0", "--no-bootstrap", "--shell", "--memory")
    address = first.out.expect("listening on (.*)\n")[1]
    second, _ = launch.node("--bootstrap", address)
    second.err.expect("joined")
    assert launch.run("add", "k", "v", "--via", address).stdout == b"stored on 2 nodes\n"
    second.popen.send_signal(signal.SIGTERM)
    assert second.wait() == 0
    contacts = 1
    while contacts:  # the leave message removes the contact, before a probe could
        first.type('"contacts", stats()["contacts"]\n')
        contacts = int(first.out.expect(r"\('contacts', (\d+)\)\n")[1])
    assert launch.run("find", "k", "--via", address).stdout == b"v\n"


def test_packets_are_logged_on_request(launch):
    process, address = launch.node("--log-level", "packets")
    assert launch.run("ping", address).returncode == 0
    process.err.expect(r"DEBUG \w{8} kademlua\.packets: from \S+: request \w{8} ping, \d+ bytes")
    process.err.expect(r"DEBUG \w{8} kademlua\.packets: to \S+: response \w{8}, \d+ bytes")


def test_port_is_named_in_errors(launch, failed):
    for text in ("abc", "99999", "-1x"):
        line = failed(launch.run("node", "--", text), 2)
        assert "PORT" in line
        assert "0 to 65535" in line


def test_node_pings_itself(launch, failed):
    _, address = launch.node("--data", "data")
    done = launch.run("ping", address, "--data", "data")
    assert done.stdout.endswith(f"{address}  0.0 ms\n".encode())


def test_empty_keys_are_rejected(launch, failed):
    for args in (("add", "", "x"), ("find", ""), ("publish", "", "x"), ("lookup", "")):
        assert "a key must not be empty" in failed(launch.run(*args), 2)
