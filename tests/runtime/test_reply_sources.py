"""Local addresses of replies, on machines with several addresses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kademlua.runtime.reply_sources import ReplySources
from tests.support.machines import Machine, machines, skip_reason

REASON = skip_reason()
needs_machines = pytest.mark.skipif(REASON is not None, reason=str(REASON))
PEER = ("192.0.2.9", 8001)


@needs_machines
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_reply_leaves_from_the_address_that_was_queried(tmp_path: Path, host: str) -> None:
    with machines() as lab:
        node, address = lab.add_host()
        asking, _ = lab.add_host()
        addresses = [address, "10.77.0.200"]
        node.run("ip", "addr", "add", "10.77.0.200/24", "dev", "eth0")
        if host == "::":
            for each in ("fd00::1", "fd00::2"):
                node.run("ip", "addr", "add", f"{each}/64", "dev", "eth0", "nodad")
                addresses.append(f"[{each}]")
            asking.run("ip", "addr", "add", "fd00::9/64", "dev", "eth0", "nodad")
        node.node("8001", "--memory", "--host", host, home=tmp_path)
        for each in addresses:
            assert ping(asking, f"{each}:8001", tmp_path) == 0, each


@needs_machines
def test_link_local_addresses_are_refused_with_a_reason(tmp_path: Path) -> None:
    with machines() as lab:
        node, _ = lab.add_host()
        asking, _ = lab.add_host()
        scoped = f"{link_local_address(node)}%eth0"
        done = node.kademlua("node", "8001", "--memory", "--host", scoped, home=tmp_path)
        assert done.returncode == 1
        assert "link-local" in done.stderr
        done = asking.kademlua("ping", f"[{scoped}]:8001", home=tmp_path)
        assert done.returncode == 1
        assert "link-local" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@needs_machines
def test_datagrams_from_link_local_addresses_cost_one_warning(tmp_path: Path) -> None:
    with machines() as lab:
        node, _ = lab.add_host()
        asking, _ = lab.add_host()
        _, log = node.node("8001", "--memory", "--host", "::", home=tmp_path)
        link_local_address(asking)  # it is usable from now on
        target = link_local_address(node)
        program = (
            "import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
            f"for _ in range(5): s.sendto(bytes(60), ('{target}', 8001, 0,"
            " socket.if_nametoindex('eth0')))"
        )
        asking.run("python3", "-c", program)
        assert ping(asking, f"{network_address(node)}:8001", tmp_path) == 0
        log.expect("link-local")


def link_local_address(machine: Machine) -> str:
    return machine_address(machine, "-6", "link")


def network_address(machine: Machine) -> str:
    return machine_address(machine, "-4", "global")


def machine_address(machine: Machine, family: str, scope: str) -> str:
    command = ["ip", family, "-o", "addr", "show", "dev", "eth0", "scope", scope]
    while "tentative" in (line := machine.run(*command)):  # duplicate address detection
        pass
    return line.split()[3].partition("/")[0]


def ping(machine: Machine, target: str, home: Path) -> int:
    return machine.kademlua("ping", target, home=home).returncode


# The memory of a transport.


@pytest.fixture
def sources() -> ReplySources:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return ReplySources(sock)


def test_unknown_peer_has_no_source(sources: ReplySources) -> None:
    assert sources.get(PEER) is None
    sources.record(PEER, [])
    sources.record(PEER, [(socket.SOL_SOCKET, 29, bytes(16))])  # a timestamp
    assert sources.get(PEER) is None


def test_source_is_the_local_address_without_its_interface(sources: ReplySources) -> None:
    local = bytes([192, 0, 2, 2])
    received = (7).to_bytes(4, "little") + local + bytes([192, 0, 2, 255])
    sources.record(PEER, [(socket.IPPROTO_IP, 8, received)])
    assert sources.get(PEER) == [(socket.IPPROTO_IP, 8, bytes(4) + local + bytes(4))]
    sources.forget(PEER)
    assert sources.get(PEER) is None


def test_memory_is_bounded_and_keeps_recent_peers(sources: ReplySources) -> None:
    control_data = [(socket.IPPROTO_IP, 8, bytes(12))]
    for port in range(1, 20_001):
        sources.record(("192.0.2.9", port), control_data)
    known = [port for port in range(1, 20_001) if sources.get(("192.0.2.9", port))]
    assert len(known) < 10_000
    assert known[-1] == 20_000
