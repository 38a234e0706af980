"""Custom RPC handlers, direct and in greenlets, and the cost of a reply."""

import tracemalloc

import gevent
import gevent.event
import pytest

from kademlua import BadArguments, Contact, Params, RpcFailed, RpcTimeout, sha1
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets, replies
from tests.support.world import RTT, World, approx_time

KEY = sha1("key")


def test_arguments_and_results(world: World) -> None:
    node, other = world.alice, world.bob
    other.register("sum", lambda sender, *numbers: sum(numbers))
    other.register("who", lambda sender: (sender.id, sender.port))
    other.register("nothing", lambda sender: None)
    assert node.call(other.contact, "sum", 1, 2, 39) == [42]
    assert node.call(other.contact, "who") == [node.id, node.contact.port]
    assert node.call(other.contact.endpoint, "nothing") == []


def test_failures(world: World) -> None:
    node, other = world.alice, world.bob

    def refuse(sender: object) -> None:
        raise BadArguments("no")

    other.register("refuse", refuse)
    other.register("bad result", lambda sender: 1.5)
    other.register("too much", lambda sender: bytes(70_000))
    for name, code in [("refuse", 131), ("bad result", 131), ("too much", 131), ("none", 130)]:
        with pytest.raises(RpcFailed) as caught:
            node.call(other.contact, name)
        assert caught.value.code == code
    with pytest.raises(ValueError, match="registered already"):
        other.register("refuse", refuse)
    with pytest.raises(ValueError, match="registered already"):
        other.register("ping", refuse)

    async def later(sender: object) -> None:
        pytest.fail("nobody awaits it")

    with pytest.raises(TypeError, match="coroutine"):
        other.register("later", later)


def test_blocking_handler_may_block(world: World) -> None:
    def slow(sender: object, seconds: int) -> int:
        gevent.sleep(seconds)
        return seconds

    world.bob.register("slow", slow, blocking=True)
    assert world.alice.call(world.bob.contact, "slow", 20, timeout=30) == [20]
    assert world.now == pytest.approx(20 + RTT)


def test_blocking_handler_does_not_block_others(world: World) -> None:
    node, other = world.alice, world.node(params=Params(max_handlers=2))
    other.ping(node.contact)  # it is no stranger, so it gets all of them
    go = gevent.event.Event()
    other.register("wait", lambda sender: go.wait() and 7, blocking=True)
    callers = [gevent.spawn(node.call, other.contact, "wait", timeout=30) for _ in range(2)]
    gevent.sleep(1)
    assert other.stats()["requests_by_rpc"]["wait"] == 2
    assert node.ping(other.contact).rtt == pytest.approx(RTT)
    with pytest.raises(RpcTimeout):  # a third one is over the bound
        node.call(other.contact, "wait")
    assert other.stats()["dropped"] == {"busy": 1}
    go.set()
    gevent.joinall(callers, raise_error=True)
    assert [caller.value for caller in callers] == [[7], [7]]


@pytest.mark.parametrize("blocking", [False, True])
def test_a_handler_may_close_its_node(world: World, blocking: bool) -> None:
    node, other = world.alice, world.bob
    other.register("bye", lambda sender: other.close(), blocking=blocking)
    with pytest.raises(RpcTimeout):
        node.call(other.contact, "bye")
    assert world.now == approx_time(node.params.rpc_timeout)
    assert not other.joined
    again = world.node(endpoint=other.contact.endpoint)  # its address is free again
    assert node.ping(other.contact.endpoint).contact == again.contact


def test_page_reads_only_the_values_it_sends(world: World) -> None:
    node, peer = world.alice, world.peer()
    for number in range(600):
        owner = Contact("10.9.9.9", 1 + number, peer.id)
        node.datastore.put(
            KEY, owner, StoreEntry(replies.encode_value(b"v" * 9_000), 1e9, received_at=0)
        )
    question = packets.encode_request_payload(
        b"findvalue", b"20:" + KEY + b"i4096e", read_only=False
    )
    peer.ping_succeeds(node.contact.endpoint)
    tracemalloc.start()
    try:
        answer = peer.call(node.contact.endpoint, question)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert replies.decode_remaining(packets.decode_values(answer.payload)) == 599
    assert peak < 500_000
