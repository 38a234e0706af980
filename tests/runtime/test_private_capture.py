"""Whole private networks under attack: what their datagrams show, and what replays achieve."""

from __future__ import annotations

import random
from typing import Any

import gevent
import pytest

from kademlua import Node, Params, SigningKey, sha1
from kademlua.core.contact import Contact, Endpoint
from kademlua.core.wire.rpc_table import RPCS
from kademlua.runtime.transport import Transport
from tests.support.world import RTT, World

OLD, NEW = b"o" * 32, b"n" * 32
BATCH, BATCH_SECONDS = 500, 2 * RTT


def shown_by_datagrams(world: World, count: int, **settings: Any) -> set[bytes]:
    """Run a network with adds, finds, records and removes, and return which of its ids, keys,
    values and names of RPCs its datagrams contain in the clear."""
    captured: list[bytes] = []
    world.net.set_observer(lambda at, source, to, datagram, outcome: captured.append(datagram))
    nodes = world.network(count, params=Params(replicas=8), **settings)
    keys = [sha1(f"key {number}") for number in range(20)]
    values = [f"a value that only we may read, number {number}".encode() for number in range(20)]
    for node, key, value in zip(nodes, keys, values, strict=False):
        node.add(key, value)
        assert nodes[-1].find_value(key, max_nodes=1)[0].values == [value]
    nodes[0].remove(keys[0])
    signing_key = SigningKey(b"k" * 32)
    keys.append(nodes[1].put_signed(b"a signed secret", signing_key).key)
    values += [b"a signed secret", bytes(signing_key.public_key)]
    assert nodes[2].get_signed(signing_key.public_key).value == b"a signed secret"
    with nodes[3].watch(keys[1]) as watch:
        assert watch.next(10) is not None
    names = [b"%d:%b" % (len(name), name) for name in RPCS]
    ids = [node.id for node in nodes]
    everything = b"\n".join(captured)
    assert len(captured) > 10 * count
    return {each for each in (*ids, *keys, *values, *names, b"4:name") if each in everything}


def test_datagrams_of_a_private_network_show_nothing(world: World) -> None:
    assert shown_by_datagrams(world, 100, network_keys=[OLD]) == set()


def test_the_same_search_finds_all_in_an_open_network(world: World) -> None:
    assert len(shown_by_datagrams(world, 25)) > 25 + 20 + 20


class Attacker:
    """Records the datagrams of some nodes, changes them, and sends them from any address."""

    def __init__(self, world: World, seed: int) -> None:
        self.rng = random.Random(seed)
        self.recorded: list[bytes] = []
        self._net = world.net

    def start_recording(self) -> None:
        self._net.set_observer(self._record)

    def _record(
        self, at: float, source: Endpoint, to: Endpoint, datagram: bytes, outcome: str
    ) -> None:
        self.recorded.append(datagram)

    def stop_recording(self) -> None:
        self._net.set_observer(None)

    def make(self) -> bytes:
        """A recorded datagram, as it is or changed."""
        rng = self.rng
        datagram = rng.choice(self.recorded)
        at = rng.randrange(len(datagram))
        match rng.randrange(6):
            case 0:
                return datagram
            case 1:
                return datagram[:at]
            case 2:
                return datagram[at:]
            case 3:
                return datagram + rng.randbytes(rng.choice((1, 16, 128, 60_000)))
            case 4:
                changed = bytearray(datagram)
                changed[at] ^= 1 << rng.randrange(8)
                return bytes(changed)
            case _:
                return datagram[:at] + rng.choice(self.recorded)[at:]


class Members:
    """Nodes of two private networks that count the calls of an RPC of their own."""

    def __init__(self, world: World) -> None:
        self.served = 0
        self.nodes: list[Node] = []
        self.transports: list[Transport] = []
        self._world = world
        self._endpoints = [(f"30.0.{number}.1", 4000) for number in range(5)]

    def start(self, ours: list[bytes], theirs: list[bytes]) -> None:
        """Start three nodes of one network and two of another, again if there were some."""
        for node in self.nodes:
            node.close(hand_over=False)
        self.nodes, self.transports = [], []
        for number, endpoint in enumerate(self._endpoints):
            transport = self._world.net.transport(*endpoint)
            keys = ours if number < 3 else theirs
            node = self._world.node(endpoint=endpoint, transport=transport, network_keys=keys)
            node.register("touch", self._touch)
            self.nodes.append(node)
            self.transports.append(transport)

    def _touch(self, sender: Contact) -> None:
        self.served += 1

    def call_each_other(self) -> int:
        """Call from each node to all others of its network; return the number of calls."""
        count = 0
        for members in (self.nodes[:3], self.nodes[3:]):
            for caller in members:
                for callee in members:
                    if callee is not caller:
                        caller.call(callee.contact, "touch")
                        count += 1
        return count


@pytest.mark.parametrize(
    "count",
    [
        4_000,
        pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_no_changed_or_recorded_datagram_is_served(world: World, count: int) -> None:
    """Also between peers and networks, from other addresses, after restarts and key changes."""
    members, attacker = Members(world), Attacker(world, seed=7)
    stranger = world.net.transport("40.0.0.1", 5000)
    stranger.start(lambda datagram, endpoint: None)
    for ours, theirs in (
        ([OLD], [NEW]),
        ([OLD], [NEW]),
        ([OLD, NEW], [NEW]),
        ([NEW, OLD], [NEW]),
        ([NEW], [OLD]),
    ):
        attacker.start_recording()
        members.start(ours, theirs)
        for _ in range(3):
            before = members.served
            assert members.call_each_other() == members.served - before
        attacker.stop_recording()
        before = members.served
        endpoints = [node.contact.endpoint for node in members.nodes]
        for number in range(count // 5):
            source = attacker.rng.choice([*members.transports, stranger])
            source.send(attacker.make(), attacker.rng.choice(endpoints))
            if number % BATCH == 0:
                gevent.sleep(BATCH_SECONDS)
        gevent.sleep(BATCH_SECONDS)
        assert members.served == before
        before = members.served
        assert members.call_each_other() == members.served - before  # they still hear each other
    reasons = [node.stats()["dropped"] for node in members.nodes]
    assert all(each["undecipherable"] for each in reasons)
    stranger.close()
