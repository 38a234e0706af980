"""set, get and delete: a user's own values, through a node or a client, as processes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from kademlua.core.ids import sha1

HOME_OF_NODE = ".local/share/kademlua/8001"
"""The default data directory of the node on port 8001; it makes a node the one that is used."""


@pytest.fixture
def network(launch):
    """The address of one of three nodes that know each other."""
    pytest.importorskip("cryptography", reason="of the extra crypto")
    _, first = launch.node()
    for _ in range(2):
        process, _ = launch.node("--bootstrap", first)
        process.err.expect("joined")
    return first


class TestClient:
    """Without a running node of the user, a key proves what the user owns."""

    def test_set_replaces_the_users_value(self, launch, network):
        for value in ("one", "two", "three"):
            done = launch.run("set", "key", value, "--via", network)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"stored on 3 nodes\n", b"")
        assert launch.run("find", "key", "--all", "--via", network).stdout == b"three\n"
        assert launch.run("add", "key", "four", "--via", network).returncode == 0
        assert launch.run("find", "key", "--all", "--via", network).stdout == b"four\n"

    def test_values_of_other_users_stay(self, launch, network, failed):
        launch.run("set", "key", "mine", "--via", network)
        launch.become("another")
        launch.run("set", "key", "another", "--via", network)
        found = launch.run("find", "key", "--all", "--via", network).stdout
        assert sorted(found.split()) == [b"another", b"mine"]
        done = launch.run("get", "key", "--via", network)
        assert done.stdout == b"another\n"
        assert done.stderr == b"1 older or of other owners: see kademlua find\n"
        done = launch.run("delete", "key", "--via", network)
        assert (done.returncode, done.stdout) == (0, b"removed on 3 nodes\n")
        assert launch.run("get", "key", "--via", network).stdout == b"mine\n"
        expected = "Error: key: nothing was removed: no node has a value of this owner\n"
        assert failed(launch.run("delete", "key", "--via", network), 1) == expected
        assert failed(launch.run("remove", "key", "--via", network), 1) == expected

    def test_key_of_the_user_is_private(self, launch, network):
        launch.run("set", "key", "value", "--via", network)
        path = launch.home / ".local/share/kademlua/identity.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [each.name for each in path.parent.iterdir()] == [path.name]

    def test_concurrent_clients_have_one_identity(self, launch, network):
        clients = [launch.start("set", "key", f"{n}", "--via", network) for n in range(4)]
        assert [(each.wait(), each.err.read_rest()) for each in clients] == [(0, "")] * 4
        assert launch.run("find", "key", "--all", "--via", network).stdout.count(b"\n") == 1

    def test_missing_identity_is_explained(self, launch, network, failed):
        # A module that cannot be imported hides the installed package.
        launch.env["PYTHONPATH"] = f"{launch.home}:{launch.env['PYTHONPATH']}"
        (launch.home / "cryptography.py").write_text("raise ImportError\n")
        done = launch.run("add", "key", "v", "--via", network)
        assert (done.returncode, done.stdout) == (0, b"stored on 3 nodes\n")
        assert done.stderr.startswith(b"this value cannot be changed later: ")
        for args in (["set", "key", "v"], ["delete", "key"]):
            line = failed(launch.run(*args, "--via", network), 1)
            assert line.startswith("Error: only its owner changes a value; start a node, or: ")


class TestRunningNode:
    """A running node of the user acts, without an option."""

    @pytest.fixture
    def node(self, launch):
        pytest.importorskip("lmdb", reason="of the extra disk")
        process, address = launch.node("--data", HOME_OF_NODE)
        return process, address

    def test_node_owns_the_values(self, launch, node):
        for value in (b"one", b"two"):
            done = launch.run("set", "key", value.decode())
            assert (done.returncode, done.stdout) == (0, b"stored on 1 node\n")
            assert done.stderr == b"using the node on port 8001\n"
            assert launch.run("get", "key").stdout == value + b"\n"
        row = json.loads(launch.run("stored", "--json").stdout)
        assert row["owner"]["id"] == node[0].out.text.split()[2]
        assert launch.run("delete", "key").stdout == b"removed on 1 node\n"
        assert launch.run("get", "key").returncode == 1
        assert not (launch.home / ".local/share/kademlua/identity.key").exists()

    def test_via_selects_a_client(self, launch, node):
        done = launch.run("find", "key", "--via", node[1])
        assert done.stderr == b"Error: no value found for key\n"

    def test_killed_node_is_not_used(self, launch, node, failed):
        node[0].popen.kill()
        node[0].wait()
        line = failed(launch.run("get", "key"), 1)
        assert line == (
            "Error: no reply from 127.0.0.1:8001; start a node there with: kademlua node\n"
        )


def test_several_keys_are_shown_with_their_values(launch, network):
    launch.run("set", "one", "1", "--via", network)
    launch.run("set", "two", "a\nb", "--via", network)
    done = launch.run("get", "one", "none", "two", "--via", network)
    assert done.stdout == b"one: 1\ntwo:\n    a\n    b\n"
    assert (done.returncode, done.stderr) == (1, b"Error: no value found for none\n")
    done = launch.run("get", "one", "two", "--json", "--via", network)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [
        {"key": sha1("one").hex(), "value": "1", "others": 0},
        {"key": sha1("two").hex(), "value": "a\nb", "others": 0},
    ]
    done = launch.run("delete", "one", "none", "two", "--via", network)
    assert (done.returncode, done.stdout) == (1, b"removed on 3 nodes\n" * 2)
    assert done.stderr.startswith(b"Error: none: nothing was removed")


def test_values_of_several_lines_are_told_apart(launch, network):
    for value in ("a\nb", "value (2 of 2):\nc"):
        launch.become(value[:1])
        launch.run("set", "key", value, "--via", network)
    lines = launch.run("find", "key", "--all", "--via", network).stdout.decode().splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [
        "value (1 of 2):",
        "value (2 of 2):",
    ]
    assert launch.run("get", "key", "--raw", "--via", network).stdout == b"value (2 of 2):\nc"


def test_value_is_read_from_a_file(launch, network, tmp_path):
    (tmp_path / "file").write_bytes(b"\xff\0")
    assert launch.run("set", "key", "--file", "file", "--via", network).returncode == 0
    assert launch.run("get", "key", "--raw", "--via", network).stdout == b"\xff\0"


@pytest.mark.parametrize("command", ["set", "add", "publish"])
def test_endless_input_is_refused_at_its_limit(launch, failed, command):
    limit = "; a value has at most 15,000 bytes, bencoded\n"
    line = failed(launch.run(command, "key", "--file", "/dev/zero"), 1)
    assert line == "Error: /dev/zero has more than 60,000 bytes" + limit
    line = failed(launch.run(command, "key", "-", stdin=b"x" * 100_000), 1)
    assert line == "Error: standard input has more than 60,000 bytes" + limit
    (launch.home / "large").write_bytes(b"x" * 100_000)
    line = failed(launch.run(command, "key", "--file", "large"), 1)
    assert line == "Error: large has 100,000 bytes" + limit
    assert b"15,000 bytes" in launch.run(command, "--help").stdout


def test_missing_file_is_named(launch, failed):
    line = failed(launch.run("set", "key", "--file", "missing"), 1)
    assert line == "Error: missing: No such file or directory\n"


@pytest.mark.parametrize("args", [["node", "0", "--config"], ["simulate"]])
def test_endless_configuration_is_refused(launch, args):
    done = launch.run(*args, "/dev/zero")
    assert done.returncode in (1, 2)
    assert b"1,048,576 bytes, which is the limit" in done.stderr


def test_host_without_port_means_8001(launch, failed):
    assert Path(launch.home).is_dir()
    assert failed(launch.run("ping", "127.77.0.1"), 1) == "Error: no reply from 127.77.0.1:8001\n"
