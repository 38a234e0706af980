"""The virtual network, with recording endpoints and with real nodes."""

import subprocess
import sys

import gevent
import pytest

from kademlua import ContactPool, Node, NodeOptions
from kademlua.core.errors import KademluaError
from kademlua.core.ids import sha1
from kademlua.simulation.clock.loop import run_virtual, virtual_now
from kademlua.simulation.network.latency import ConstantLatency, LogNormalLatency
from kademlua.simulation.network.links import Link
from kademlua.simulation.network.network import NetworkConditions, VirtualNetwork
from kademlua.simulation.rng_streams import RngStreams

A, B, C = ("10.0.0.1", 8001), ("10.0.0.2", 8002), ("10.0.0.3", 8003)


class End:
    """A transport that records received datagrams and their times."""

    def __init__(self, network, endpoint):
        self.received = []
        self.transport = network.transport(*endpoint)
        self.transport.start(
            lambda datagram, source: self.received.append((virtual_now(), datagram, source))
        )
        self.send = self.transport.send
        self.close = self.transport.close

    @property
    def datagrams(self):
        return [datagram for _, datagram, _ in self.received]


def on_virtual_time(**conditions):
    """Run a test on virtual time, on a network with ``conditions`` and 50 ms of latency."""

    def decorate(test):
        def run():
            network = VirtualNetwork(
                RngStreams(1), ConstantLatency(0.05), NetworkConditions(**conditions)
            )
            run_virtual(lambda: test(network))

        run.__name__ = test.__name__
        return run

    return decorate


@on_virtual_time()
def test_bytes_arrive_after_the_latency(network):
    a, b = End(network, A), End(network, B)
    gevent.sleep(1)
    assert a.send(b"one", B)
    assert a.send(b"two", B)
    assert b.received == []
    gevent.sleep(1)
    assert b.received == [(1.05, b"one", A), (1.05, b"two", A)]
    assert a.received == []
    assert (network.sent, network.delivered, network.lost) == (2, 2, {})


@on_virtual_time()
def test_undeliverable_packets_are_counted_by_reason(network):
    a, b = End(network, A), End(network, B)
    assert a.send(b"x", C)
    a.send(b"x", B)
    b.close()
    gevent.sleep(1)
    assert a.send(b"x", B)
    assert not a.send(b"x", ("::1", 8000))
    assert not a.send(b"x", ("10.0.0.9", 0))
    assert not a.send(b"x" * 70_000, B)
    gevent.sleep(1)
    assert network.lost == {"no receiver": 3, "closed": 2, "too large": 1}
    assert (network.sent, network.delivered) == (6, 0)
    again = End(network, B)
    a.send(b"new", B)
    gevent.sleep(1)
    assert again.datagrams == [b"new"]
    assert b.datagrams == []


@on_virtual_time()
def test_transport_follows_its_protocol(network):
    a = network.transport(*A)
    assert a.local_endpoint == A
    assert (a.supports_ipv4, a.supports_ipv6) == (True, False)
    other = network.transport("::0001", 8001)
    assert other.local_endpoint == ("::1", 8001)
    assert (other.supports_ipv4, other.supports_ipv6) == (False, True)
    assert not a.send(b"x", B)  # as on a socket, it does not raise
    a.start(print)
    a.start(print)
    with pytest.raises(OSError, match="in use"):
        network.transport(*A).start(print)
    network.transport(*A).close()
    a.close()
    a.close()
    assert not a.send(b"x", B)
    assert network.sent == 0
    network.transport(*A).start(print)
    with pytest.raises(ValueError, match="no-ip"):
        network.transport("no-ip", 80)
    with pytest.raises(ValueError, match="port"):
        network.transport("10.0.0.1", 0)


def test_network_requires_virtual_time():
    with pytest.raises(KademluaError, match="run_virtual"):
        VirtualNetwork(RngStreams(1), ConstantLatency(0.05)).transport(*A)


@on_virtual_time()
def test_receiver_that_raises_loses_one_datagram(network):
    def receive(datagram, source):
        raise ValueError("a defect")

    a = End(network, A)
    network.transport(*B).start(receive)
    a.send(b"x", B)
    a.send(b"y", B)
    gevent.sleep(1)
    assert (network.delivered, network.handler_errors) == (2, 2)


@on_virtual_time()
def test_observer_sees_delivered_and_lost_packets(network):
    seen = []
    network.set_observer(lambda *what: seen.append(what))
    a, _ = End(network, A), End(network, B)
    a.send(b"x", B)
    a.send(b"y", C)
    gevent.sleep(1)
    network.set_observer(None)
    a.send(b"z", B)
    gevent.sleep(1)
    assert seen == [(0, A, C, b"y", "no receiver"), (0.05, A, B, b"x", "delivered")]


# Conditions.


def fates(packets=2_000, also=0, **conditions):
    """Return the arrival times of numbered packets from A to B, while ``also`` others send."""

    def main():
        network = VirtualNetwork(
            RngStreams(1), ConstantLatency(0.05), NetworkConditions(**conditions)
        )
        a, b = End(network, A), End(network, B)
        others = [End(network, ("10.1.0.0", 9000 + number)) for number in range(also)]
        for number in range(packets):
            a.send(b"%d" % number, B)
            for other in others:
                other.send(b"other", A)
            gevent.sleep(0.001)
        gevent.sleep(10)
        arrived = {}
        for now, datagram, _ in b.received:
            arrived.setdefault(int(datagram), []).append(now)
        assert network.sent == packets * (1 + also)
        return network, arrived

    return run_virtual(main)


def test_loss():
    network, arrived = fates(loss=0.2)
    assert len(arrived) == network.delivered == pytest.approx(1_600, rel=0.05)
    assert network.lost == {"loss": 2_000 - len(arrived)}
    assert fates(10, loss=1)[1] == {}


def test_losses_do_not_depend_on_other_conditions_and_senders():
    _, arrived = fates(loss=0.2)
    assert list(fates(loss=0.2, jitter=0.01, duplication=0.1)[1].keys() ^ arrived.keys()) == []
    assert fates(loss=0.2, also=3)[1] == arrived


def test_duplication():
    network, arrived = fates(duplication=0.1)
    assert network.delivered == pytest.approx(2_200, rel=0.03)
    assert {len(times) for times in arrived.values()} == {1, 2}
    assert all(
        number / 1_000 + 0.05 - 1e-9 <= time <= number / 1_000 + 0.1 + 1e-9
        for number, times in arrived.items()
        for time in times
    )


def test_reordering():
    _, arrived = fates()
    assert list(arrived) == sorted(arrived)
    _, arrived = fates(reordering=0.1)
    late = [number for number, [time] in arrived.items() if time > number / 1_000 + 0.0501]
    assert len(late) == pytest.approx(200, rel=0.2)
    assert list(arrived) != sorted(arrived)
    assert len(arrived) == 2_000


def test_jitter_is_exponential_with_the_mean_given():
    _, arrived = fates(jitter=0.02)
    extra = sorted(time - number / 1_000 - 0.05 for number, [time] in arrived.items())
    assert extra[0] >= -1e-9
    assert sum(extra) / len(extra) == pytest.approx(0.02, rel=0.1)
    assert extra[1_000] == pytest.approx(0.02 * 0.693, rel=0.1)


@on_virtual_time(max_packet=1_472)
def test_packets_above_the_maximum_size_are_lost(network):
    a, b = End(network, A), End(network, B)
    assert a.send(b"x" * 1_472, B)
    assert a.send(b"x" * 1_473, B)
    gevent.sleep(1)
    assert [len(each) for each in b.datagrams] == [1_472]
    assert network.lost == {"too large": 1}


@on_virtual_time(bandwidth=1_000)
def test_bandwidth_delays_packets(network):
    a, b, c = End(network, A), End(network, B), End(network, C)
    for number in range(3):
        a.send(b"%072d" % number, B)  # 100 bytes with headers
    gevent.sleep(5)
    # 0.1 s on A's uplink, the latency, then 0.1 s on B's downlink.
    assert [now for now, _, _ in b.received] == pytest.approx([0.25, 0.35, 0.45])
    a.send(bytes(72), C)
    b.send(bytes(72), C)
    gevent.sleep(5)
    assert [now for now, _, _ in c.received] == pytest.approx([5.25, 5.35])
    network.conditions = NetworkConditions()
    a.send(bytes(72), C)
    gevent.sleep(5)
    assert c.received[-1][0] == pytest.approx(10.05)


@on_virtual_time(bandwidth=1_000, queue=250, jitter=0.001)
def test_full_queue_drops_packets(network):
    a, b, c = End(network, A), End(network, B), End(network, C)
    for number in range(4):
        a.send(b"%072d" % number, B)
    assert network.lost == {"queue": 2}
    gevent.sleep(5)
    assert [int(each) for each in b.datagrams] == [0, 1]
    for number in range(2):
        a.send(b"%072d" % number, C)
        b.send(b"%072d" % number, C)
    gevent.sleep(5)
    assert network.lost["queue"] > 2
    assert len(c.received) + network.lost["queue"] == 4 + 2


# Partitions, pauses and NAT.


@on_virtual_time()
def test_partition_separates_groups_until_it_heals(network):
    a, b = End(network, A), End(network, B)
    network.partition([{A}, {B, C}])
    c = End(network, C)  # created later, but in its group
    ungrouped, another = End(network, ("10.0.0.8", 1)), End(network, ("10.0.0.9", 1))
    for end, to in [
        (a, B),
        (b, A),
        (b, C),
        (ungrouped, A),
        (ungrouped, another.transport.local_endpoint),
    ]:
        end.send(b"x", to)
    gevent.sleep(1)
    assert (a.datagrams, b.datagrams, c.datagrams) == ([], [], [b"x"])
    assert another.datagrams == [b"x"]
    assert network.lost == {"cut": 3}
    network.heal()
    a.send(b"y", B)
    gevent.sleep(1)
    assert b.datagrams == [b"y"]
    with pytest.raises(ValueError, match="two groups"):
        network.partition([{A, B}, {B}])


@on_virtual_time()
def test_paused_node_neither_sends_nor_receives(network):
    a, b = End(network, A), End(network, B)
    a.send(b"on its way", B)
    network.pause(B)
    assert b.send(b"x", A)
    gevent.sleep(1)
    network.resume(B)
    a.send(b"awake", B)
    gevent.sleep(1)
    assert (a.datagrams, b.datagrams) == ([], [b"awake"])
    assert network.lost == {"paused": 2}


@on_virtual_time()
def test_nat_admits_only_recent_destinations(network):
    a, b, c = End(network, A), End(network, B), End(network, C)
    network.enable_nat(B, timeout=30)
    a.send(b"unasked", B)
    gevent.sleep(1)
    b.send(b"hello", A)
    gevent.sleep(1)
    a.send(b"answer", B)
    c.send(b"unsolicited", B)
    gevent.sleep(27)
    a.send(b"still open", B)  # incoming packets do not refresh the mapping
    gevent.sleep(2)
    a.send(b"too late", B)
    gevent.sleep(1)
    assert a.datagrams == [b"hello"]
    assert b.datagrams == [b"answer", b"still open"]
    assert network.lost == {"nat": 3}
    network.pause(B)
    network.resume(B)
    a.send(b"nat as before", B)
    gevent.sleep(1)
    assert network.lost == {"nat": 4}


def test_nat_discards_expired_mappings():
    link = Link(B, 0, 0)
    link.set_nat(10)
    for number in range(5_000):
        assert link.allow_outgoing(("10.9.0.1", 1 + number), number / 10)
    assert len(link.nat_mappings) <= 1_024


# Real nodes.


def nodes_at_work(seed, count=50, latency=0.05, loss=0.02):
    """Join, add and find with real nodes; return the network."""

    def main():
        streams = RngStreams(seed)
        network = VirtualNetwork(
            streams,
            LogNormalLatency(streams, latency, 0.4),
            NetworkConditions(loss=loss, jitter=0.002),
        )
        pool = ContactPool()
        nodes = []
        for number in range(count):
            node = Node(
                bootstrap=[nodes[0].contact.endpoint] if nodes else [],
                options=NodeOptions(
                    transport=network.transport(f"10.0.{number >> 8}.{number & 255}", 8000),
                    clock=virtual_now,
                    wall_clock=virtual_now,
                    rng=streams.stream("node", number),
                    contact_pool=pool,
                ),
            )
            node.start()
            nodes.append(node)
            gevent.sleep(0.05)
        assert all(node.wait_joined(60) for node in nodes)
        keys = [sha1(f"key {number}") for number in range(20)]
        choose = streams.stream("workload").choice
        adding = [gevent.spawn(choose(nodes).add, key, key) for key in keys]
        gevent.joinall(adding, raise_error=True)
        for key in keys:
            assert choose(nodes).find_value(key, 1)[0].values == [key]
        for node in nodes:
            node.close()
        assert network.handler_errors == 0
        return network

    return run_virtual(main)


def test_equal_seeds_give_equal_fingerprints():
    first = nodes_at_work(1)
    code = (
        "from tests.simulation.network.test_network import *; print(nodes_at_work(1).fingerprint())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert first.delivered > 5_000
    assert first.lost["loss"] == pytest.approx(0.02 * first.sent, rel=0.3)
    assert nodes_at_work(1).fingerprint() == first.fingerprint() == elsewhere.stdout.strip()
    assert nodes_at_work(2).fingerprint() != first.fingerprint()


def test_call_to_paused_node_times_out_on_virtual_time():
    def main():
        network = VirtualNetwork(RngStreams(1), ConstantLatency(0.05))
        alice, bob = (
            Node(
                options=NodeOptions(
                    transport=network.transport(*endpoint),
                    clock=virtual_now,
                    wall_clock=virtual_now,
                    rng=RngStreams(1).stream(*endpoint),
                )
            )
            for endpoint in (A, B)
        )
        alice.start()
        bob.start()
        assert alice.ping(B).rtt == pytest.approx(0.1)
        network.pause(B)
        began = virtual_now()
        with pytest.raises(TimeoutError):
            alice.ping(B)
        assert virtual_now() - began == pytest.approx(1.5, abs=0.02)

    run_virtual(main)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thousand_nodes_give_the_same_fingerprint_twice():
    first = nodes_at_work(1, 1_000)
    assert nodes_at_work(1, 1_000).fingerprint() == first.fingerprint()
