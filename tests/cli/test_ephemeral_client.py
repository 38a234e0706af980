"""The clients of the command line, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import kademlua
from kademlua import Node
from kademlua.cli import ephemeral_client, main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the nodes and the identity of the user who runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture
def network(make_network: Callable[..., list[Node]]) -> Node:
    """One of 22 nodes on the loopback interface that know each other."""
    return make_network(22)[0]


def test_client_of_loopback_network_binds_to_loopback(network: Node) -> None:
    with ephemeral_client.ephemeral_node(network.contact.endpoint) as node:
        assert node.contact.addr == "127.0.0.1"


def test_client_checks_all_contacts_of_first_reply(
    network: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(ephemeral_client, "is_loopback", lambda addr: not checked.append(addr))
    with ephemeral_client.ephemeral_node(network.contact.endpoint) as node:
        assert checked == [node.contact.addr] + 20 * ["127.0.0.1"]


@pytest.mark.parametrize("command", ["add key value", "find key", "lookup key", "record put value"])
def test_client_without_via_bootstraps_from_control_port(
    network: Node, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(ephemeral_client, "CONTROL_PORT", network.contact.port)
    network.add(kademlua.sha1("key"), b"value")
    done = CliRunner().invoke(main, command.split(), standalone_mode=False)
    assert (done.exception, done.exit_code) == (None, 0)


def test_record_is_found_without_via(network: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ephemeral_client, "CONTROL_PORT", network.contact.port)
    key = network.put_immutable(b"for ever").key
    done = CliRunner().invoke(main, ["record", "get", key.hex()], standalone_mode=False)
    assert (done.exception, done.output) == (None, "for ever\n")
