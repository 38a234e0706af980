"""UDP transport on real sockets, on free loopback ports."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket

from kademlua import Params
from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import UdpTransport
from tests.support.peers import wait_until

Received = list[tuple[bytes, Endpoint]]
Open = Callable[..., tuple[UdpTransport, Received]]


@pytest.fixture
def open_transport() -> Iterator[Open]:
    """Start a transport on a free port: it, and the list to which it hands datagrams."""
    opened = []

    def make(host: str = "127.0.0.1", **params: object) -> tuple[UdpTransport, Received]:
        transport = UdpTransport(host, 0, Params(**params))  # type: ignore[arg-type]
        received: Received = []
        transport.start(lambda datagram, source: received.append((datagram, source)))
        opened.append(transport)
        return transport, received

    yield make
    for transport in opened:
        transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_arrive_with_their_source(open_transport: Open, host: str) -> None:
    one, _ = open_transport(host)
    two, received = open_transport(host)
    assert one.send(b"x", two.local_endpoint)
    assert one.send(b"", two.local_endpoint)
    wait_until(lambda: len(received) == 2)
    assert received == [(b"x", one.local_endpoint), (b"", one.local_endpoint)]
    assert one.local_endpoint[0] == host


def test_on_both_families_ipv4_is_plain_ipv4(open_transport: Open) -> None:
    both, received = open_transport("::")
    four, answers = open_transport()
    port = both.local_endpoint[1]
    four.send(b"question", ("127.0.0.1", port))
    wait_until(lambda: received)
    assert received == [(b"question", four.local_endpoint)]
    assert both.send(b"answer", four.local_endpoint)
    wait_until(lambda: answers)
    assert answers == [(b"answer", ("127.0.0.1", port))]
    assert (both.supports_ipv4, both.supports_ipv6) == (True, True)
    assert (four.supports_ipv4, four.supports_ipv6) == (True, False)


def test_more_than_a_batch_arrives_and_lets_others_run(open_transport: Open) -> None:
    one, _ = open_transport()
    two, received = open_transport(receive_batch=8)
    turns = []

    def others() -> None:
        while len(received) < 100:
            turns.append(len(received))
            gevent.sleep(0)

    gevent.spawn(others)
    for number in range(100):
        assert one.send(b"%d" % number, two.local_endpoint)
    wait_until(lambda: len(received) == 100)
    assert [int(datagram) for datagram, _ in received] == list(range(100))
    # Between two turns of the others there was never more than a batch.
    assert max(b - a for a, b in zip(turns, [*turns[1:], 100], strict=True)) <= 8


def test_discarded_backlog_is_not_received(open_transport: Open) -> None:
    one, _ = open_transport()
    two, received = open_transport()
    for _ in range(100):
        assert one.send(b"stale", two.local_endpoint)
    assert two.discard_backlog() == 100
    assert two.discard_backlog() == 0
    one.send(b"new", two.local_endpoint)
    wait_until(lambda: received)
    assert received == [(b"new", one.local_endpoint)]
    two.close()
    assert two.discard_backlog() == 0


def test_a_receiver_that_fails_costs_one_datagram(caplog: pytest.LogCaptureFixture) -> None:
    got = []

    def receive(datagram: bytes, source: Endpoint) -> None:
        if datagram == b"bad":
            raise RuntimeError("a defect")
        got.append(datagram)

    transport = UdpTransport("127.0.0.1", 0, Params())
    transport.start(receive)
    for datagram in (b"a", b"bad", b"b"):
        transport.send(datagram, transport.local_endpoint)
    wait_until(lambda: len(got) == 2)
    transport.close()
    assert [record.message for record in caplog.records] == ["processing a datagram failed"]


@pytest.mark.parametrize("endpoint", [("127.0.0.1", 0), ("255.255.255.255", 1), ("::1", 1)])
def test_operating_system_error_is_reported(open_transport: Open, endpoint: Endpoint) -> None:
    transport, _ = open_transport()
    assert not transport.send(b"x", endpoint)
    assert not transport.send(bytes(70_000), transport.local_endpoint)


def test_a_closed_one_sends_nothing_and_frees_its_port(open_transport: Open) -> None:
    transport, _ = open_transport()
    transport.close()
    transport.close()
    assert not transport.send(b"x", ("127.0.0.1", 9))
    again = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    again.bind(transport.local_endpoint)
    again.close()


@pytest.mark.parametrize("host", ["localhost", "", "1.2.3"])
def test_it_binds_to_addresses_only(host: str) -> None:
    with pytest.raises(ValueError, match="IP address"):
        UdpTransport(host, 0, Params())
