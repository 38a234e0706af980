"""The test world: its nodes and peers, and its check for leaks."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import gevent
import gevent.event
import pytest

from kademlua import RpcTimeout
from kademlua.core.wire import packets
from kademlua.simulation.clock.loop import Deadlock
from tests.support.programs import ROOT
from tests.support.world import ONE_WAY, RTT, TIMER_SLACK, UNUSED_ENDPOINT, World, approx_time


def test_alice_and_bob(world: World) -> None:
    assert world.now == 0
    pong = world.alice.ping(world.bob.contact)
    assert pong.contact == world.bob.contact
    assert pong.rtt == world.now == pytest.approx(RTT)


def test_a_network(world: World) -> None:
    nodes = world.network(20)
    nodes[3].add(b"k" * 20, b"value")
    assert nodes[17].find_value(b"k" * 20)[0].values == [b"value"]
    assert world.now < 2


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_has_its_own(world: World, number: int) -> None:
    assert world.now == 0
    assert world.alice.contact.endpoint == ("10.0.0.1", 4000)
    assert world.alice.id.hex().startswith("1425dd1a")  # the same chance in each


def test_a_cut_network_heals(world: World) -> None:
    alice, bob = world.network(2)
    world.net.partition([{alice.contact.endpoint}])
    began = world.now
    with pytest.raises(RpcTimeout):
        bob.ping(alice.contact)
    assert world.now - began == approx_time(1.5)
    world.net.heal()
    assert bob.ping(alice.contact).rtt == pytest.approx(0.1)


def test_the_documents_example_is_this_one() -> None:
    page = ROOT / "docs" / "simulation.md"
    assert inspect.getsource(test_a_cut_network_heals) in page.read_text()


def test_a_peer_speaks_when_it_is_told_to(world: World) -> None:
    peer = world.peer()
    caller = gevent.spawn(world.alice.ping, peer.contact)
    request = peer.receive()
    gevent.sleep(1 - world.now)
    answer = packets.encode_response(peer.id, request.rpc_id, b"li5ee")
    peer.send(answer, world.alice.contact.endpoint)
    assert caller.get().rtt == world.now == pytest.approx(1 + ONE_WAY)


def test_unused_endpoint_does_not_answer(world: World) -> None:
    with pytest.raises(RpcTimeout):
        world.alice.ping(UNUSED_ENDPOINT, timeout=7)
    assert 7 <= world.now <= 7 + TIMER_SLACK + 1e-9


def run(test: Callable[[World], object]) -> None:
    world = World()
    world.run(lambda: test(world))


def test_exception_of_a_test_propagates() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda world: world.alice.id and 1 / 0)


def test_test_waiting_forever_fails() -> None:
    with pytest.raises(Deadlock):
        run(lambda world: gevent.event.Event().wait())


def test_leaked_greenlets_fail_the_test() -> None:
    with pytest.raises(AssertionError, match=r"left behind:\n  a greenlet: .*gevent.sleep"):
        run(lambda world: gevent.spawn(lambda: gevent.sleep(9)))


def test_leaked_timers_fail_the_test() -> None:
    with pytest.raises(AssertionError, match="timers are left"):
        run(lambda world: gevent.get_hub().loop.timer(9).start(print))


def test_exception_in_packet_handler_fails_the_test(caplog: pytest.LogCaptureFixture) -> None:
    def ask(world: World) -> None:
        peer = world.peer()
        peer.serve(lambda request: 1 / 0)  # type: ignore[arg-type, return-value]
        with pytest.raises(RpcTimeout):
            world.alice.ping(peer.contact)

    with pytest.raises(AssertionError, match="packet handler raised"):
        run(ask)
    assert len(caplog.records) == 1
