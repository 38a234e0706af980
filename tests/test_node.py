"""The node as its program sees it."""

import gc
import os
from collections.abc import Callable

import gevent
import gevent.event
import pytest

import kademlua
from kademlua import (
    Node,
    NodeClosed,
    NotJoined,
    Params,
    RpcFailed,
    RpcRefused,
    RpcTimeout,
    StoreFailed,
    sha1,
)
from tests.peers import Peer, until

Make = Callable[..., Node]
MakeNetwork = Callable[..., list[Node]]
MakePeer = Callable[..., Peer]

KEY = sha1("key")
SILENT = ("127.0.0.1", 9)


def test_the_example_of_the_readme(make_node: Make) -> None:
    first = make_node()
    with Node(bootstrap=[first.contact.endpoint]) as node:
        node.add(KEY, b"value")
        answers = node.find_value(KEY)
        assert {answer.contact.id for answer in answers} == {first.id, node.id}
        assert [answer.values for answer in answers] == [[b"value"], [b"value"]]


@pytest.mark.parametrize("value", [b"", b"\0\xff", 0, -7, 2**200, [1, [b"x"]], {b"a": [1, {}]}])
def test_any_bencoded_value_comes_back(make_network: MakeNetwork, value: object) -> None:
    nodes = make_network(3)
    nodes[0].add(KEY, value)
    assert all(answer.values == [value] for answer in nodes[2].find_value(KEY))


def test_text_comes_back_as_its_bytes(make_node: Make) -> None:
    node = make_node()
    node.add(KEY, "wört")
    assert node.find_value(KEY)[0].values == ["wört".encode()]


def test_one_value_for_each_owner(make_network: MakeNetwork) -> None:
    one, two, three = make_network(3)
    one.add(KEY, b"of one")
    two.add(KEY, b"of two")
    one.add(KEY, b"of one, later")
    for node in (one, two, three):
        for answer in node.find_value(KEY):
            assert sorted(answer.values) == [b"of one, later", b"of two"]


@pytest.mark.parametrize(("drops", "left"), [(True, [b"two"]), (False, [b"one", b"two"])])
def test_overwrite_drops_others_where_params_say_so(
    make_network: MakeNetwork, drops: bool, left: list[bytes]
) -> None:
    one, two = make_network(2, params=Params(overwrite_drops_others=drops))
    one.add(KEY, b"one")
    two.overwrite(KEY, b"two")
    assert sorted(one.find_value(KEY)[0].values) == left


def test_a_key_without_values_gives_an_empty_list(make_network: MakeNetwork) -> None:
    assert make_network(5)[3].find_value(KEY) == []


def test_per_node_bounds_the_values_of_one_answer(make_network: MakeNetwork) -> None:
    nodes = make_network(5)
    for node in nodes:
        node.add(KEY, node.id)
    assert all(len(answer.values) == 2 for answer in nodes[0].find_value(KEY, per_node=2))
    assert len(nodes[0].find_value(KEY, answers=2)) == 2


def test_a_lone_node_keeps_values_itself(make_node: Make) -> None:
    node = make_node()
    assert node.add(KEY, b"v").acknowledged == [node.contact]
    assert node.find_value(KEY)[0].contact == node.contact


def test_values_vanish_with_their_time_to_live(make_network: MakeNetwork) -> None:
    nodes = make_network(3, params=Params(ttl=1))
    nodes[0].add(KEY, b"v")
    assert nodes[1].find_value(KEY)
    until(lambda: not nodes[1].find_value(KEY))
    assert all(len(node.datastore) == 0 or node.datastore.expire(1e18) for node in nodes)


def test_a_refused_store_says_why(make_network: MakeNetwork) -> None:
    nodes = make_network(3, params=Params(max_entries=0))
    with pytest.raises(StoreFailed, match=r"3 refused \(no room for more values"):
        nodes[0].add(KEY, b"v")
    assert nodes[1].stats()["refused"] == {"no room for more values": 1}


def test_the_report_tells_of_each_holder(make_node: Make, make_peer: MakePeer) -> None:
    node, good = make_node(), make_node()
    deaf = make_peer()
    deaf.serve(lambda request: {b"ping": b"li5ee", b"findnode": b"llee"}.get(request.name))
    for peer in (good.contact, deaf.contact):
        node.ping(peer)
    report = node.add(KEY, b"v")
    assert set(report.acknowledged) == {node.contact, good.contact}
    assert report.silent == [deaf.contact]
    assert report.refused == []


@pytest.mark.parametrize("value", [None, 1.5, True, [None], {1: 2}, {b"a": 1, "b": 2}, object()])
def test_values_without_a_bencoding_are_refused(make_node: Make, value: object) -> None:
    with pytest.raises(TypeError):
        make_node().add(KEY, value)


def test_bad_keys_and_values_are_named(make_node: Make) -> None:
    node = make_node()
    with pytest.raises(TypeError, match="sha1"):
        node.add("key", b"v")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        node.find_value(b"abc")
    with pytest.raises(ValueError, match="15,000 bytes"):
        node.add(KEY, bytes(15_001))


def test_start_and_close_are_idempotent() -> None:
    node = Node()
    node.start()
    port = node.contact.port
    node.start()
    assert node.contact.port == port
    node.close()
    node.close()
    with pytest.raises(NodeClosed):
        node.start()


def test_a_closed_or_unstarted_node_does_nothing(make_node: Make) -> None:
    node = Node()
    with pytest.raises(NodeClosed):
        node.add(KEY, b"v")
    node.close()
    for act in (
        lambda: node.add(KEY, b"v"),
        lambda: node.find_value(KEY),
        lambda: node.find_node(KEY),
        lambda: node.ping(SILENT),
        lambda: node.is_alive(kademlua.Contact("127.0.0.1", 9, KEY)),
    ):
        with pytest.raises(NodeClosed):
            act()


def test_closing_ends_whatever_waits(make_node: Make, make_peer: MakePeer) -> None:
    peer = make_peer()  # never answers again once the test has had its pong
    node = make_node(params=Params(rpc_timeout=60))
    joining = make_node(params=Params(rpc_timeout=60), bootstrap=[peer.contact.endpoint])
    peer.serve(lambda request: b"li5ee" if request.name == b"ping" else None)
    node.ping(peer.contact)
    peer.serve(lambda request: None)
    waiting = [
        gevent.spawn(node.call, peer.contact, "findnode", KEY),
        gevent.spawn(node.find_value, KEY),
        gevent.spawn(node.add, KEY, b"v"),
        gevent.spawn(node.is_alive, kademlua.Contact("127.0.0.1", 9, KEY), strong=True),
    ]
    join = gevent.spawn(joining.wait_joined)
    gevent.sleep(0.05)
    assert not any(greenlet.ready() for greenlet in [*waiting, join])
    node.close()
    joining.close()
    gevent.joinall([*waiting, join], timeout=5)
    assert [type(greenlet.exception) for greenlet in waiting] == [NodeClosed] * 4
    assert join.value is False


def test_nothing_is_left_behind(make_peer: MakePeer) -> None:
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


def test_a_handler_may_close_its_node(make_node: Make) -> None:
    node, other = make_node(), make_node()
    other.register("bye", lambda sender: other.close())
    with pytest.raises(RpcTimeout):
        node.call(other.contact, "bye")
    assert not other.joined


def test_a_blocking_handler_may_close_its_node_too(make_node: Make) -> None:
    node, other = make_node(), make_node()
    other.register("bye", lambda sender: other.close(), blocking=True)
    with pytest.raises(RpcTimeout):
        node.call(other.contact, "bye")
    make_node(port=other.contact.port)  # the socket is free again


def test_closing_while_storing_is_no_report(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(params=Params(rpc_timeout=60)), make_peer()
    peer.serve(lambda request: {b"ping": b"li5ee", b"findnode": b"llee"}.get(request.name))
    node.ping(peer.contact)
    adding = gevent.spawn(node.add, KEY, b"v")
    until(lambda: peer.requests and peer.requests[-1].name == b"store")
    node.close()
    with pytest.raises(NodeClosed):
        adding.get(timeout=5)


def test_an_interrupted_beginning_leaves_nothing_open(make_peer: MakePeer) -> None:
    node = Node(bootstrap=[make_peer().contact.endpoint])
    with gevent.Timeout(0.05, False), node:
        pytest.fail("nobody answered")
    with pytest.raises(NodeClosed):
        node.start()


def test_values_may_nest_as_deep_as_an_answer_can_carry(make_network: MakeNetwork) -> None:
    nodes = make_network(2)
    value: list[object] = []
    for _ in range(60):
        value = [value]
    nodes[0].add(KEY, value)
    assert [answer.values for answer in nodes[1].find_value(KEY)] == [[value]] * 2
    with pytest.raises(TypeError, match="nested"):
        nodes[0].add(KEY, [value])


def test_many_greenlets_use_one_node(make_network: MakeNetwork) -> None:
    nodes = make_network(10)
    keys = [sha1(f"key {number}") for number in range(60)]
    gevent.joinall([gevent.spawn(nodes[4].add, key, key) for key in keys], raise_error=True)
    finders = [gevent.spawn(nodes[7].find_value, key) for key in keys]
    gevent.joinall(finders, raise_error=True)
    for key, finder in zip(keys, finders, strict=True):
        assert all(answer.values == [key] for answer in finder.value)
        assert len(finder.value) == 3


def test_a_port_in_use_is_an_oserror(make_node: Make) -> None:
    with pytest.raises(OSError, match="in use"):
        Node(port=make_node().contact.port).start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_bad_settings_are_named(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        Node(port=port)
    with pytest.raises(ValueError, match="20 bytes"):
        Node(id=b"short")
    with pytest.raises(ValueError, match="IP address"):
        Node(host="localhost")


class TestOwnRpcs:
    def test_arguments_and_results(self, make_node: Make) -> None:
        node, other = make_node(), make_node()
        other.register("sum", lambda sender, *numbers: sum(numbers))
        other.register("who", lambda sender: (sender.id, sender.port))
        other.register("nothing", lambda sender: None)
        assert node.call(other.contact, "sum", 1, 2, 39) == [42]
        assert node.call(other.contact, "who") == [node.id, node.contact.port]
        assert node.call(other.contact.endpoint, "nothing") == []

    def test_failures(self, make_node: Make) -> None:
        node, other = make_node(), make_node()

        def refuse(sender: object) -> None:
            raise RpcRefused("no")

        other.register("refuse", refuse)
        other.register("bad result", lambda sender: 1.5)
        other.register("too much", lambda sender: bytes(70_000))
        for name, code in [("refuse", 131), ("bad result", 131), ("too much", 131), ("none", 130)]:
            with pytest.raises(RpcFailed) as caught:
                node.call(other.contact, name)
            assert caught.value.code == code
        with pytest.raises(ValueError, match="answered already"):
            other.register("refuse", refuse)
        with pytest.raises(ValueError, match="answered already"):
            other.register("ping", refuse)

    def test_a_blocking_handler_blocks_nobody_else(self, make_node: Make) -> None:
        node, other = make_node(), make_node(params=Params(max_handlers=2))
        go = gevent.event.Event()
        other.register("wait", lambda sender: go.wait() and 7, blocking=True)
        callers = [gevent.spawn(node.call, other.contact, "wait", timeout=30) for _ in range(2)]
        until(lambda: other.stats()["requests"].get("wait") == 2)
        assert node.ping(other.contact).contact == other.contact
        with pytest.raises(RpcTimeout):  # a third one is over the bound
            node.call(other.contact, "wait")
        assert other.stats()["dropped"] == {"busy": 1}
        go.set()
        gevent.joinall(callers, raise_error=True)
        assert [caller.value for caller in callers] == [[7], [7]]


class TestJoining:
    def test_a_dead_bootstrap_node_is_waited_for(
        self, make_node: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        later = make_node()
        port = later.contact.port
        later.close()
        node = make_node(bootstrap=[("127.0.0.1", port)])
        assert not node.wait_joined()
        with pytest.raises(NotJoined):
            node.add(KEY, b"v")
        until(lambda: node.stats()["calls"]["findnode"] >= 3)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        make_node(port=port)
        assert node.wait_joined(20)
        assert node.add(KEY, b"v").acknowledged

    def test_one_of_several_bootstrap_nodes_suffices(self, make_node: Make) -> None:
        good = make_node()
        bootstrap = [SILENT, good.contact.endpoint, ("no.such.name.invalid", 1), ("localhost", 9)]
        assert make_node(bootstrap=bootstrap).wait_joined()

    def test_a_node_that_lost_all_joins_again(self, make_node: Make) -> None:
        first = make_node()
        port = first.contact.port
        node = make_node(bootstrap=[("127.0.0.1", port)])
        assert node.wait_joined()
        first.close()
        assert not node.is_alive(first.contact, strong=True)
        assert len(node.table) == 0
        make_node(port=port)
        until(lambda: len(node.table) == 1)

    def test_a_client_is_in_nobodys_table(self, make_network: MakeNetwork) -> None:
        nodes = make_network(5)
        with Node(bootstrap=[nodes[0].contact.endpoint], read_only=True) as client:
            client.add(KEY, b"v")
            assert client.find_value(KEY)
            assert len(client.datastore) == 0
            until(lambda: not any(len(node._liveliness._probes) for node in nodes))
            assert not any(client.contact in node.table for node in nodes)


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
        until(lambda: len(both.table) == 2)
        assert {contact.addr for contact in both.table} == {"127.0.0.1", "::1"}
        # Neither is told of contacts that it can't send to.
        assert [contact.addr for contact in four.find_node(six.id)] == ["127.0.0.1"]
        four.add(KEY, b"v")
        assert six.find_value(KEY)[0].values == [b"v"]


def test_a_hundred_nodes_and_a_thousand_keys(make_network: MakeNetwork) -> None:
    nodes = make_network(100)
    for number in range(1000):
        report = nodes[number % 100].add(sha1(f"key {number}"), b"value %d" % number)
        assert len(report.acknowledged) == 20
    # The network's size, by what its nodes saw of it.
    sizes = sorted(node.network_size() for node in nodes)
    assert sizes[10] >= 75
    assert sizes[-10] <= 125
    for node in nodes[1::2]:
        node.close()
    survivors = nodes[::2]
    for number in range(1000):
        answers = survivors[number % 50].find_value(sha1(f"key {number}"), answers=1)
        assert answers[0].values == [b"value %d" % number]
