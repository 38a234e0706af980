"""``ThreadedNode``, in threads with and without gevent."""

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest

from kademlua import NodeClosed, NotJoined, RpcTimeout, ThreadedNode, sha1
from kademlua.core.contact import Contact, Endpoint
from tests.bridges.conftest import LeakCounts
from tests.conftest import QUICK_PARAMS

Make = Callable[..., ThreadedNode]
InThread = Callable[..., Any]

KEY = sha1("key")
SILENT = ("127.0.0.1", 9)


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most 10 seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "the condition does not hold after 10 s"
        time.sleep(0.005)


def in_flight(node: ThreadedNode) -> int:
    count = node.stats()["calls_in_flight"]
    assert isinstance(count, int)
    return count


def use(bootstrap: Endpoint) -> None:
    with ThreadedNode(bootstrap=[bootstrap]) as node:
        assert node.joined
        assert len(node.add(KEY, b"value").acknowledged) == 2
        assert [answer.values for answer in node.find_value(KEY)] == [[b"value"]] * 2
        assert [contact.endpoint for contact in node.find_node(KEY)] == [bootstrap]
        assert node.network_size() == 2
        assert node.ping(bootstrap).contact.endpoint == bootstrap
    assert not node.joined


def test_node_joins_adds_and_finds(first: Endpoint, in_thread: InThread) -> None:
    in_thread(use, first)


def test_node_joins_adds_and_finds_under_gevent(first: Endpoint) -> None:
    gevent.spawn(use, first).get(timeout=30)


def test_many_threads_share_a_node(first: Endpoint, make_threaded: Make) -> None:
    node = make_threaded(bootstrap=[first])
    keys = [sha1(f"key {number}") for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        assert all(report.acknowledged for report in pool.map(node.add, keys, keys))
        found = list(pool.map(lambda key: node.find_value(key, max_nodes=1), keys))
    assert [answers[0].values for answers in found] == [[key] for key in keys]


def test_errors_reach_the_caller(make_threaded: Make, in_thread: InThread) -> None:
    alone = make_threaded()
    outside = make_threaded(bootstrap=[SILENT], params=QUICK_PARAMS.replace(rpc_timeout=0.05))

    def check() -> None:
        with pytest.raises(NotJoined):
            outside.find_value(KEY)
        with pytest.raises(ValueError, match="a key has"):
            alone.find_value(b"short")
        with pytest.raises(TypeError):
            alone.add(KEY, None)
        with pytest.raises(TypeError, match="argument"):
            alone.add()  # type: ignore[call-arg]
        with pytest.raises(RpcTimeout) as caught:
            alone.ping(SILENT, timeout=0.02)
        # The traceback shows the call and the place of the error in the node.
        names = [entry.name for entry in caught.traceback]
        assert names[0] == "check"
        assert "ping" in names

    in_thread(check)
    check()


def test_close_ends_waiting_calls(make_threaded: Make, in_thread: InThread) -> None:
    node = make_threaded()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(node.ping, SILENT, timeout=60) for _ in range(3)]
        closed = pool.submit(node.wait_closed)
        until(lambda: in_flight(node) == 3)
        node.close()
        assert closed.result(10) is None
        assert [type(each.exception(10)) for each in waiting] == [NodeClosed] * 3
    in_thread(node.close)
    for call in (node.start, lambda: node.add(KEY, b"v")):
        with pytest.raises(NodeClosed):
            in_thread(call)
    assert in_thread(node.wait_joined, 60) is False
    assert in_thread(node.stats)["calls_in_flight"] == 0


def test_close_without_start(in_thread: InThread, leak_counts: Callable[[], LeakCounts]) -> None:
    before = leak_counts()
    node = ThreadedNode()
    with pytest.raises(NodeClosed, match="not started"):
        in_thread(node.find_value, KEY)
    in_thread(node.close)
    ThreadedNode().close()
    assert leak_counts() == before


def test_close_leaves_no_threads_or_files(
    first: Endpoint, in_thread: InThread, leak_counts: Callable[[], LeakCounts]
):
    def visit() -> None:
        with ThreadedNode(bootstrap=[first], read_only=True) as node:
            node.find_value(KEY)

    in_thread(visit)  # gevent creates its own resources on first use
    before = leak_counts()
    for _ in range(5):
        in_thread(visit)
    assert leak_counts() == before


def test_port_in_use_raises_oserror(first: Endpoint, in_thread: InThread, leak_counts: Any) -> None:
    def bind() -> None:
        with ThreadedNode(port=first[1]):
            pass

    before = leak_counts()
    with pytest.raises(OSError, match="in use"):
        in_thread(bind)
    assert leak_counts() == before


def test_many_threads_may_close_a_node(make_threaded: Make) -> None:
    for _ in range(10):
        node = make_threaded()
        with ThreadPoolExecutor(8) as pool:
            closing = [pool.submit(node.close) for _ in range(8)]
            assert [each.result(10) for each in closing] == [None] * 8


def test_calls_during_close_all_end(make_threaded: Make) -> None:
    def use_up(node: ThreadedNode) -> int:
        count = 0
        while True:
            try:
                node.find_value(KEY)
            except NodeClosed:
                return count
            count += 1

    for _ in range(10):
        node = make_threaded()
        with ThreadPoolExecutor(6) as pool:
            using = [pool.submit(use_up, node) for _ in range(6)]
            node.find_value(KEY)
            node.close()
            assert all(each.result(10) >= 0 for each in using)


class TestAmongGreenlets:
    def test_other_greenlets_run_during_a_call(self, make_threaded: Make) -> None:
        node = make_threaded()
        turns = []

        def turn() -> None:
            while True:
                turns.append(1)
                gevent.sleep(0.001)

        turning = gevent.spawn(turn)
        with pytest.raises(RpcTimeout):
            node.ping(SILENT, timeout=0.2)
        turning.kill()
        assert len(turns) > 20

    def test_timeout_ends_the_call_in_the_node(self, make_threaded: Make) -> None:
        node = make_threaded()
        with gevent.Timeout(0.05, False):
            node.ping(SILENT, timeout=60)
            pytest.fail("no node should answer")
        until(lambda: in_flight(node) == 0)

    def test_many_calls_run_concurrently(self, first: Endpoint, make_threaded: Make) -> None:
        node = make_threaded(bootstrap=[first])
        adds = [gevent.spawn(node.add, sha1(str(number)), number) for number in range(50)]
        gevent.joinall(adds, raise_error=True, timeout=20)
        assert all(each.value.acknowledged for each in adds)


class TestRpcsOfTheProgram:
    def test_rpcs_run_in_the_thread_of_the_node(self, make_threaded: Make) -> None:
        server, caller = make_threaded(), make_threaded()
        server.register("where", lambda sender: threading.current_thread().name)
        (name,) = caller.call(server.contact, "where")
        assert name.decode() == f"kademlua-{server.id.hex()[:8]}"

    def test_rpcs_may_use_the_node(self, make_threaded: Make) -> None:
        server, caller = make_threaded(), make_threaded()

        def keep(sender: Contact, value: bytes) -> int:
            server.add(sender.id, value)
            return len(server.find_value(sender.id)[0].values)

        server.register("keep", keep, blocking=True)
        assert caller.call(server.contact, "keep", b"mine") == [1]

    def test_rpcs_may_close_the_node(
        self, make_threaded: Make, leak_counts: Callable[[], LeakCounts]
    ) -> None:
        server, caller = make_threaded(), make_threaded()
        server.register("bye", lambda sender: server.close(), blocking=True)
        assert caller.call(server.contact, "bye") == []  # the node ends after this reply
        server.wait_closed()
        server.close()
        assert len(leak_counts()[0]) == 1


def test_error_leaves_no_reference_cycle(make_threaded: Make, in_thread: InThread) -> None:
    """A cycle would hold values and frames of a failed call until garbage collection."""
    node = make_threaded()

    def fail() -> int:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                try:
                    node.find_value(b"short")
                except ValueError:
                    pass
            return gc.collect()
        finally:
            gc.enable()

    fail()
    assert in_thread(fail) < 10
