"""Discovery of nodes on one link, in a network namespace of the test."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from zeroconf import ServiceInfo

from kademlua.core.address_scope import AddressScope
from kademlua.mdns import (
    SERVICE_TYPE,
    announced_addresses,
    discoverable_scope,
    service_endpoints,
)
from tests.support.programs import ROOT

NAMESPACE = ["unshare", "--net"]

SETUP = """
ip link set lo up multicast on
ip route add 224.0.0.0/4 dev lo
exec "$@"
"""

# Three nodes share a label; the fourth has another one and discovers no node.
PROGRAM = """
import gevent, json, sys, time, zeroconf
from contextlib import ExitStack
from kademlua import Node, Params, sha1
from kademlua import mdns
mdns.JOIN_INTERVAL = 0.2
announced = set()
def hear(zeroconf, service_type, name, state_change):
    announced.add(name)
with ExitStack() as stack:
    listener = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    stack.callback(listener.close)
    zeroconf.ServiceBrowser(listener, mdns.SERVICE_TYPE, handlers=[hear])
    nodes = [Node(0, "127.0.0.1") for _ in range(4)]
    for node in nodes:
        node.start()
        stack.callback(node.close)
    for node, label in zip(nodes, ["new old", "old new", "new", "other"]):
        stack.enter_context(mdns.MdnsDiscovery(node, label.split()))
    until = time.monotonic() + 30
    while time.monotonic() < until and any(len(node.table) < 2 for node in nodes[:3]):
        gevent.sleep(0.05)
    nodes[0].add(sha1("key"), b"value")
    found = nodes[2].find_value(sha1("key"))
    while time.monotonic() < until and len(announced) < 4:
        gevent.sleep(0.05)
    shown = [node.id.hex() in name for node in nodes for name in announced]
    print(json.dumps([[len(node.table) for node in nodes], found[0].values[0].decode(), shown]))
"""


def has_namespaces() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="needs root to create a network namespace")
def test_nodes_on_a_link_find_each_other() -> None:
    done = subprocess.run(
        [*NAMESPACE, "sh", "-ec", SETUP, "sh", sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    contacts, value, shows_id = json.loads(done.stdout)
    assert contacts == [2, 2, 2, 0]
    assert value == "value"
    assert shows_id == [False] * 16


LATE_NETWORK = """
import gevent, json, logging, subprocess, sys, time
from contextlib import ExitStack
from kademlua import Node, mdns
logging.basicConfig()
logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # it logs tracebacks
mdns.JOIN_INTERVAL = mdns.CHECK_INTERVAL = 0.2

def ip(*args):
    subprocess.run(["ip", *args], check=True)

def wait_for_contacts(count):
    until = time.monotonic() + 30
    while time.monotonic() < until and any(len(node.table) < count for node in nodes):
        gevent.sleep(0.05)
    return [len(node.table) for node in nodes]

with ExitStack() as stack:
    nodes = [Node(0, "0.0.0.0") for _ in range(2)]
    for node in nodes:
        node.start()
        stack.callback(node.close)
        stack.enter_context(mdns.MdnsDiscovery(node))
    gevent.sleep(1)
    found = [wait_for_contacts(0)]
    ip("link", "set", "lo", "up", "multicast", "on")
    ip("route", "add", "224.0.0.0/4", "dev", "lo")
    gevent.sleep(1)
    ip("addr", "add", "192.0.2.7/24", "dev", "lo")  # loopback addresses are not announced
    found.append(wait_for_contacts(1))
    print(json.dumps(found))
"""


@pytest.mark.skipif(not has_namespaces(), reason="needs root to create a network namespace")
def test_discovery_waits_for_interfaces_and_follows_their_changes() -> None:
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", LATE_NETWORK],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0, 0], [1, 1]]
    assert "Traceback" not in done.stderr
    assert done.stderr.count("can't be discovered yet") == 2  # once by each node


def info(label: str, port: int, *addresses: str) -> ServiceInfo:
    return ServiceInfo(
        SERVICE_TYPE,
        f"{40 * '0'}.{SERVICE_TYPE}",
        addresses=[
            socket.inet_pton(socket.AF_INET6 if ":" in each else socket.AF_INET, each)
            for each in addresses
        ],
        port=port,
        properties={"net": label},
    )


def test_announced_nodes_with_the_same_label_are_found() -> None:
    announced = info("home", 8001, "192.0.2.7", "2001:db8::7")
    assert service_endpoints(announced, ["work", "home"]) == [
        ("192.0.2.7", 8001),
        ("2001:db8::7", 8001),
    ]
    assert service_endpoints(announced, [""]) == []
    assert service_endpoints(announced, ["away"]) == []


@pytest.mark.parametrize("announced", [info("", 0, "192.0.2.7"), info("", 8001)])
def test_invalid_announcements_yield_no_endpoints(announced: ServiceInfo) -> None:
    assert service_endpoints(announced, [""]) == []


def test_link_local_addresses_are_ignored() -> None:
    announced = info("", 8001, "fe80::1", "2001:db8::7")
    assert service_endpoints(announced, [""]) == [("2001:db8::7", 8001)]


def test_no_address_of_this_machine_or_of_no_node_is_taken_over() -> None:
    announced = info("", 8001, "127.0.0.1", "224.0.0.251", "0.0.0.0", "10.0.0.7", "::1", "ff02::1")
    assert service_endpoints(announced, [""]) == [("10.0.0.7", 8001)]
    assert discoverable_scope("0.0.0.0") is discoverable_scope("10.0.0.1") is AddressScope.PRIVATE
    on_loopback = service_endpoints(announced, [""], discoverable_scope("127.0.0.1"))
    assert on_loopback == [("127.0.0.1", 8001), ("10.0.0.7", 8001), ("::1", 8001)]


def test_endpoints_of_one_announcement_are_limited() -> None:
    many = info("", 8001, *(f"192.0.2.{n}" for n in range(1, 200)))
    assert len(service_endpoints(many, [""])) == 8


def test_only_the_bound_address_is_announced() -> None:
    assert announced_addresses("127.0.0.1") == ["127.0.0.1"]
    assert "127.0.0.1" not in announced_addresses("0.0.0.0")
    assert not any(":" in each for each in announced_addresses("0.0.0.0"))
