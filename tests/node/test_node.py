"""Node lifecycle: settings, start and close."""

import gevent
import pytest

from kademlua import Contact, Node, NodeClosed, NodeOptions, Params, sha1
from tests.support.peers import always_pong, empty_v10_peer, requests_served
from tests.support.world import UNUSED_ENDPOINT, World

KEY = sha1("key")


def test_the_example_of_the_readme(world: World) -> None:
    with world.unstarted_node(world.alice) as node:
        node.add(KEY, b"value")
        answers = node.find_value(KEY)
        assert {answer.contact.id for answer in answers} == {world.alice.id, node.id}
        assert [answer.values for answer in answers] == [[b"value"], [b"value"]]


def test_bad_settings_are_named() -> None:
    for port in (-1, 65536):
        with pytest.raises(ValueError, match="port"):
            Node(port=port)
    with pytest.raises(ValueError, match="20 bytes"):
        Node(options=NodeOptions(id=b"short"))
    with pytest.raises(ValueError, match="IP address"):
        Node(host="localhost")


def test_options_do_not_show_network_keys() -> None:
    shown = repr(NodeOptions(network_keys=[b"network-key-of-exactly-32-bytes!"]))
    assert "network-key-of" not in shown


def test_start_and_close_are_idempotent(world: World) -> None:
    node = world.unstarted_node()
    node.start()
    node.start()
    assert world.alice.ping(node.contact.endpoint).contact == node.contact
    node.close()
    node.close()
    with pytest.raises(NodeClosed):
        node.start()


def test_a_closed_or_unstarted_node_does_nothing(world: World) -> None:
    node = world.unstarted_node()
    with pytest.raises(NodeClosed):
        node.add(KEY, b"v")
    with pytest.raises(NodeClosed):
        node.wait_joined()
    node.close()
    for act in (
        lambda: node.add(KEY, b"v"),
        lambda: node.find_value(KEY),
        lambda: node.find_node(KEY),
        lambda: node.ping(UNUSED_ENDPOINT),
        lambda: node.is_alive(Contact(*UNUSED_ENDPOINT, KEY)),
    ):
        with pytest.raises(NodeClosed):
            act()


def test_close_ends_all_waiting_calls(world: World) -> None:
    peer, patient = world.peer(), Params(rpc_timeout=60)
    node = world.node(params=patient)
    peer.serve(always_pong)
    node.ping(peer.contact)
    peer.serve(lambda request: None)
    joining = world.node(peer.contact.endpoint, params=patient)
    waiting = [
        gevent.spawn(node.call, peer.contact, "findnode", KEY),
        gevent.spawn(node.find_value, KEY),
        gevent.spawn(node.add, KEY, b"v"),
        gevent.spawn(node.is_alive, Contact(*UNUSED_ENDPOINT, KEY), strong=True),
    ]
    join = gevent.spawn(joining.wait_joined)
    gevent.sleep(0.1)
    assert not any(greenlet.ready() for greenlet in [*waiting, join])
    began = world.now
    node.close()
    joining.close()
    gevent.joinall([*waiting, join])
    assert world.now == began
    assert [type(greenlet.exception) for greenlet in waiting] == [NodeClosed] * 4
    assert join.value is False


def test_close_wakes_callers_of_wait_closed(world: World) -> None:
    waiting = gevent.spawn(world.alice.wait_closed)
    gevent.sleep(1000)
    assert not waiting.ready()
    world.alice.close()
    waiting.get()
    assert world.now == 1000


def test_closing_while_storing_is_no_report(world: World) -> None:
    node, peer = world.node(params=Params(rpc_timeout=60)), world.peer()
    peer.serve(lambda request: None if request.name == b"store" else empty_v10_peer(request))
    node.ping(peer.contact)
    adding = gevent.spawn(node.add, KEY, b"v")
    gevent.sleep(0.3)
    assert requests_served(peer)[-1] == "store"
    node.close()
    with pytest.raises(NodeClosed):
        adding.get()
    assert world.now == pytest.approx(0.4)


def test_an_interrupted_beginning_leaves_nothing_open(world: World) -> None:
    node = world.unstarted_node(UNUSED_ENDPOINT)
    with gevent.Timeout(0.05, False), node:
        pytest.fail("nobody answered")
    assert world.now == 0.05
    with pytest.raises(NodeClosed):
        node.start()
