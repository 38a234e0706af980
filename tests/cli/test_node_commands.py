"""status, peers and stop of a running node, as processes."""

from __future__ import annotations

import json

import pytest

import kademlua
from kademlua.build import build_name
from tests.cli.conftest import free_port


@pytest.fixture
def daemon(launch):
    """A node in memory with a control socket, and its address."""
    return launch.node("--memory", "--control", "sock")


def test_status_of_a_node(launch, daemon):
    process, address = daemon
    launch.run("set", "key", "value", "--control", "sock")
    done = launch.run("status", "--control", "sock", "--json")
    state = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"{state['address']}:{state['port']}" == address
    expected = {
        "id": process.out.text.split()[2],
        "joined": True,
        "reachable": None,
        "contacts": 0,
        "values": 1,
        "published": 0,
        "republish_lag_seconds": 0.0,
        "network_size": 1,
        "data_directory": None,
        "process": process.popen.pid,
        "version": kademlua.__version__,
        "build": build_name(),
    }
    assert expected.items() <= state.items()
    lines = launch.run("status", "--control", "sock").stdout.decode().splitlines()
    rows = dict(line.split(maxsplit=1) for line in lines)
    assert rows["id"] == state["id"]
    assert rows["published"] == "0"
    assert rows["network"] == "about 1 node"
    assert rows["data"] == "none: all is in memory"


def test_status_names_the_data_directory(launch):
    pytest.importorskip("lmdb", reason="of the extra disk")
    launch.node("--data", "data")
    state = json.loads(launch.run("status", "--data", "data", "--json").stdout)
    assert state["data_directory"] == str(launch.home / "data")


def test_peers_are_listed(launch, daemon):
    process, address = launch.node("--bootstrap", daemon[1])
    process.err.expect("joined")
    contact = json.loads(launch.run("peers", "--control", "sock", "--json").stdout)
    assert f"{contact['address']}:{contact['port']}" == address
    line = launch.run("peers", "--control", "sock").stdout.decode()
    assert line.split()[:2] == [contact["id"], address]


def test_stop_waits_for_the_end_of_the_node(launch, daemon):
    process, address = daemon
    done = launch.run("stop", "--control", "sock")
    node_id = process.out.text.split()[2]
    assert (done.returncode, done.stdout.decode()) == (0, f"stopped {node_id}  {address}\n")
    assert process.wait() == 0
    assert not (launch.home / "sock").exists()


def test_stopped_node_hands_over_its_values(launch, daemon):
    process, address = launch.node("--bootstrap", daemon[1])
    process.err.expect("joined")
    launch.run("set", "key", "value", "--control", "sock")
    assert launch.run("stop", "--control", "sock").returncode == 0
    assert launch.run("get", "key", "--via", address).stdout == b"value\n"


def test_the_only_node_is_used(launch, failed):
    pytest.importorskip("lmdb", reason="of the extra disk")
    launch.node("--data", ".local/share/kademlua/9001")
    done = launch.run("status")
    assert (done.returncode, done.stderr) == (0, b"using the node on port 9001\n")
    launch.node("--data", ".local/share/kademlua/9002")
    line = failed(launch.run("status"), 2)
    assert "Nodes run on ports 9001, 9002; choose one with --port." in line
    launch.node("--data", ".local/share/kademlua/8001")
    assert launch.run("status").stderr == b""


def test_the_node_of_a_private_network_is_used(launch):
    pytest.importorskip("lmdb", reason="of the extra disk")
    for name in ("ours.key", "new.key", "theirs.key"):
        launch.run("keygen", "--network", name)
    keys = ("--network-key", "ours.key", "--network-key", "new.key")
    port = free_port()
    launch.start("node", str(port), "--no-bootstrap", "--no-shell", *keys).out.expect("listening")
    for key in ("ours.key", "new.key"):
        done = launch.run("set", "key", "value", "--network-key", key)
        assert (done.returncode, done.stderr) == (0, b"using the node on port %d\n" % port)
    done = launch.run("get", "key", "--network-key", "theirs.key", "--via", f"127.0.0.1:{port}")
    assert done.returncode == 1


def test_stop_ends_no_other_node_than_the_one_on_port_8001(launch, failed):
    pytest.importorskip("lmdb", reason="of the extra disk")
    process, _ = launch.node("--data", ".local/share/kademlua/9001")
    line = failed(launch.run("stop"), 1)
    assert "no node runs on port 8001" in line
    assert "nodes run on: 9001; choose one with --port" in line
    assert launch.run("stop", "--port", "9001").returncode == 0
    assert process.wait() == 0


def test_missing_node_is_reported(launch, failed):
    for args, port in [(("status",), 8001), (("stop",), 8001), (("peers", "--port", "9999"), 9999)]:
        line = failed(launch.run(*args), 1)
        assert f"no node runs on port {port}" in line
        assert f"start one with: kademlua node {port}" in line
