"""Several machines: non-loopback addresses, disconnected links and NAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.machines import Lab, Machine, machines, skip_reason
from tests.support.peers import wait_until

REASON = skip_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))
# So that the dead count as dead, and the silent are asked again, within seconds.
HASTY = "maintenance_interval = 1\nrpc_timeout = 0.5\n"
PATIENCE = 40.0


def config(home: Path) -> list[str]:
    file = home / "hasty.toml"
    file.write_text(HASTY)
    return ["--memory", "--config", str(file)]


def network(lab: Lab, count: int, home: Path) -> list[tuple[Machine, str]]:
    """Machines with a node each, on port 8001, which have joined."""
    hosts = [lab.add_host() for _ in range(count)]
    for number, (machine, address) in enumerate(hosts):
        args = ["8001", "--host", address, *config(home)]
        if number:
            args += ["--bootstrap", f"{hosts[0][1]}:8001"]
        _, log = machine.node(*args, home=home)
        if number:
            log.expect("joined")
    return hosts


def find(machine: Machine, address: str, key: str, home: Path) -> str:
    return machine.kademlua("find", "--via", f"{address}:8001", key, home=home).stdout


def add(machine: Machine, address: str, key: str, value: str, home: Path) -> None:
    done = machine.kademlua("add", "--via", f"{address}:8001", key, value, home=home)
    assert done.returncode == 0, done.stderr


def test_value_stored_on_one_machine_is_found_on_another(tmp_path: Path) -> None:
    with machines() as lab:
        hosts = network(lab, 3, tmp_path)
        add(*hosts[0], "key", "value", tmp_path)
        assert find(*hosts[2], "key", tmp_path) == "value\n"


def test_a_client_of_the_own_machine_s_node_reaches_the_others(tmp_path: Path) -> None:
    """By default it asks at 127.0.0.1, from where they can't be reached."""
    with machines() as lab:
        first, address = lab.add_host()
        args = ["8001", "--host", "0.0.0.0", *config(tmp_path)]
        first.node(*args, "--no-bootstrap", home=tmp_path)
        others = [lab.add_host() for _ in range(2)]
        for machine, _ in others:
            _, log = machine.node(*args, "--bootstrap", f"{address}:8001", home=tmp_path)
            log.expect("joined")
        done = first.kademlua("add", "key", "value", home=tmp_path)
        assert (done.stdout, done.stderr) == ("stored on 3 nodes\n", "")
        assert first.kademlua("find", "key", home=tmp_path).stdout == "value\n"
        for machine, _ in others:
            assert find(machine, "127.0.0.1", "key", tmp_path) == "value\n"


def test_a_machine_that_was_cut_off_comes_back(tmp_path: Path) -> None:
    with machines() as lab:
        hosts = network(lab, 4, tmp_path)
        lab.unplug(4)
        add(*hosts[0], "while", "it was gone", tmp_path)
        add(*hosts[3], "alone", "over there", tmp_path)
        assert find(*hosts[1], "while", tmp_path) == "it was gone\n"
        assert find(*hosts[3], "while", tmp_path) == ""
        lab.plug(4)
        wait_until(lambda: find(*hosts[3], "while", tmp_path) == "it was gone\n", PATIENCE)
        wait_until(lambda: find(*hosts[1], "alone", tmp_path) == "over there\n", PATIENCE)


@pytest.mark.skipif(bool(skip_reason("iptables")), reason=f"{skip_reason('iptables')}")
def test_a_node_behind_nat_uses_the_network(tmp_path: Path) -> None:
    with machines() as lab:
        hosts = network(lab, 3, tmp_path)
        hidden = lab.add_nat_host()
        args = ["--bootstrap", f"{hosts[0][1]}:8001", *config(tmp_path)]
        _, log = hidden.node("8001", "--host", "0.0.0.0", *args, home=tmp_path)
        log.expect("joined")
        add(hidden, "192.168.7.2", "key", "from behind", tmp_path)
        assert find(*hosts[1], "key", tmp_path) == "from behind\n"
        assert find(hidden, "192.168.7.2", "key", tmp_path) == "from behind\n"
        done = hidden.kademlua("add", "other", "by default", home=tmp_path)
        assert done.returncode == 0, done.stderr
        assert find(*hosts[2], "other", tmp_path) == "by default\n"
