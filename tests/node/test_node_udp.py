"""Nodes on real sockets and in real time."""

import gc
import os
from collections.abc import Callable

import bencoder
import gevent
import pytest

from kademlua import Node, NodeClosed, RpcTimeout, sha1
from tests.support.peers import ScriptedPeer, wait_until

Make = Callable[..., Node]
MakeNetwork = Callable[..., list[Node]]
MakePeer = Callable[..., ScriptedPeer]

KEY = sha1("key")
SILENT = ("127.0.0.1", 9)


def test_twenty_nodes_add_and_find(make_network: MakeNetwork) -> None:
    nodes = make_network(20)
    keys = [sha1(f"key {number}") for number in range(20)]
    for node, key in zip(nodes, keys, strict=True):
        # On a busy machine, some replicas may not reply in time.
        wait_until(lambda node=node, key=key: len(node.add(key, key).acknowledged) == 20)
    for node, key in zip(reversed(nodes), keys, strict=True):
        assert all(answer.values == [key] for answer in node.find_value(key))


def test_closed_nodes_leave_nothing_behind(make_peer: MakePeer) -> None:
    def living() -> tuple[int, int, int]:
        gevent.sleep(0.01)
        gc.collect()
        greenlets = [g for g in gc.get_objects() if isinstance(g, gevent.Greenlet) and not g.dead]
        return (
            len(greenlets),
            len(os.listdir("/proc/self/fd")),
            gevent.get_hub().loop.activecnt,
        )

    peer = make_peer()
    with Node():  # what gevent itself makes once is made now
        pass
    before = living()
    nodes = [Node() for _ in range(5)]
    for node in nodes:
        node.start()
    nodes += [Node(bootstrap=[nodes[0].contact.endpoint, peer.contact.endpoint]) for _ in range(5)]
    for node in nodes[5:]:
        node.start()
        node.register("slow", lambda sender: gevent.sleep(60), blocking=True)
    assert all(node.wait_joined() for node in nodes)
    callers = [gevent.spawn(nodes[0].call, node.contact, "slow") for node in nodes[5:]]
    callers += [gevent.spawn(node.is_alive, peer.contact, strong=True) for node in nodes]
    gevent.sleep(0.05)
    assert living() > before
    for node in nodes:
        node.close()
    gevent.joinall(callers, timeout=5)
    assert all(isinstance(caller.exception, NodeClosed) for caller in callers)
    del callers
    assert living() == before


def test_a_port_in_use_is_an_oserror(make_node: Make) -> None:
    with pytest.raises(OSError, match="in use"):
        Node(port=make_node().contact.port).start()


def test_a_port_that_was_taken_is_kept_and_freed(make_node: Make) -> None:
    node = make_node()
    port = node.contact.port
    node.start()
    assert node.contact.port == port
    node.close()
    make_node(port=port)


def test_a_blocking_handler_may_close_its_node(make_node: Make) -> None:
    node, other = make_node(), make_node()
    other.register("bye", lambda sender: other.close(), blocking=True)
    with pytest.raises(RpcTimeout):
        node.call(other.contact, "bye", timeout=0.2)
    make_node(port=other.contact.port)  # the socket is free again


def test_names_among_the_bootstrap_addresses(make_node: Make) -> None:
    good = make_node()
    port = good.contact.port
    bootstrap = [SILENT, ("no.such.name.invalid", 1), ("localhost", 9), ("localhost", port)]
    assert make_node(bootstrap=bootstrap).wait_joined()


def test_node_waits_for_a_dead_bootstrap_node(make_node: Make) -> None:
    later = make_node()
    port = later.contact.port
    later.close()
    node = make_node(bootstrap=[("127.0.0.1", port)])
    assert not node.wait_joined(0.01)
    make_node(port=port)
    assert node.wait_joined(20)


class TestIPv6:
    def test_a_network_on_ipv6(self, make_network: MakeNetwork) -> None:
        nodes = make_network(6, host="::1")
        assert nodes[0].contact.addr == "::1"
        nodes[1].add(KEY, b"v")
        answers = nodes[4].find_value(KEY)
        assert answers[0].contact.is_ipv6
        assert len(nodes[5].table) == 5

    def test_a_node_on_both(self, make_node: Make) -> None:
        both = make_node(host="::")
        port = both.contact.port
        four = make_node(bootstrap=[("127.0.0.1", port)])
        six = make_node(host="::1", bootstrap=[("::1", port)])
        assert four.wait_joined()
        assert six.wait_joined()
        wait_until(lambda: len(both.table) == 2)
        assert {contact.addr for contact in both.table} == {"127.0.0.1", "::1"}
        # Neither is told of contacts that it can't send to.
        assert [contact.addr for contact in four.find_node(six.id)] == ["127.0.0.1"]
        four.add(KEY, b"v")
        assert six.find_value(KEY)[0].values == [b"v"]


def test_a_1_0_peer_is_never_told_of_ipv6(make_node: Make, make_peer: MakePeer) -> None:
    node = make_node(host="::")
    port = node.contact.port
    six = make_node(host="::1", bootstrap=[("::1", port)])
    four = make_node(bootstrap=[("127.0.0.1", port)])
    wait_until(lambda: len(node.table) == 2)
    peer = make_peer()
    to = ("127.0.0.1", port)
    for name in (b"findnode", b"findvalue"):
        # Near to the IPv6 node, so that 1.0's findvalue would list it.
        body = {"name": name, "args": [six.id]}
        answer = peer.call(to, bencoder.bencode(body))
        assert six.id not in answer.payload
        modern = peer.call(to, bencoder.bencode(body | {"v": 1}))
        assert six.contact.compact in modern.payload
    assert four.id in peer.call(to, bencoder.bencode(body | {"name": b"findnode"})).payload
