"""A scripted peer: the test sends and receives its packets."""

from collections.abc import Callable

import gevent
from gevent.queue import Queue

from kademlua import Contact
from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request, Response
from kademlua.runtime.transport import Transport


class ScriptedPeer:
    """Sends and receives datagrams, on UDP or a virtual network; ``serve`` lets it answer by
    itself."""

    def __init__(self, transport: Transport, node_id: bytes) -> None:
        self.id = node_id
        self.requests: list[Request] = []
        """Requests received while the peer served."""
        self._transport = transport
        self._received: Queue[tuple[bytes, Endpoint]] = Queue()
        self._responder: Callable[[Request], bytes | None] | None = None
        self._request_count = 0
        transport.start(self._on_datagram)
        self.contact = Contact(*transport.local_endpoint, node_id)

    def send(self, datagram: bytes, to: Endpoint) -> None:
        assert self._transport.send(datagram, to)

    def receive(self) -> Request | Response:
        """Return the next packet; fail the test after 10 seconds."""
        return packets.decode(self.receive_datagram())

    def receive_datagram(self) -> bytes:
        """Return the next datagram; fail the test after 10 seconds."""
        with gevent.Timeout(10, AssertionError("no packet came")):
            return self._received.get()[0]

    def request(self, to: Endpoint, payload: bytes) -> bytes:
        """Send a request with this payload; return its rpc id."""
        self._request_count += 1
        rpc_id = b"%08d" % self._request_count
        self.send(packets.encode_request(self.id, rpc_id, payload), to)
        return rpc_id

    def call(self, to: Endpoint, payload: bytes) -> Response:
        """Send a request and wait for its response, answering pings meanwhile."""
        rpc_id = self.request(to, payload)
        while True:
            packet = self.receive()
            if isinstance(packet, Response) and packet.rpc_id == rpc_id:
                return packet
            if isinstance(packet, Request) and packet.name == b"ping":
                self.send(packets.encode_response(self.id, packet.rpc_id, b"li5ee"), to)

    def ping_succeeds(self, to: Endpoint) -> bool:
        """Return whether a ping is answered; earlier packets have then been handled."""
        return (
            self.call(to, packets.encode_request_payload(b"ping", b"", read_only=False)).payload
            == b"li5ee"
        )

    @property
    def unread(self) -> list[bytes]:
        """The datagrams that arrived while the peer did not serve and that it has not received."""
        return [datagram for datagram, _ in self._received.queue]

    def stop_serving(self) -> None:
        """Queue datagrams for ``receive`` again."""
        self._responder = None

    def serve(self, responder: Callable[[Request], bytes | None]) -> None:
        """Answer each request, also queued ones, with the returned payload unless it is None."""
        self._responder = responder
        while not self._received.empty():
            self._on_datagram(*self._received.get())

    def close(self) -> None:
        self._transport.close()

    def _on_datagram(self, datagram: bytes, source: Endpoint) -> None:
        if self._responder is None:
            self._received.put((datagram, source))
            return
        packet = packets.decode(datagram)
        if isinstance(packet, Request):
            self.requests.append(packet)
            payload = self._responder(packet)
            if payload is not None:
                self.send(packets.encode_response(self.id, packet.rpc_id, payload), source)


def always_pong(request: Request) -> bytes:
    """Return a pong to every request."""
    return b"li5ee"


def empty_v10_peer(request: Request) -> bytes:
    """Reply as a v1.0 peer without contacts or values."""
    return b"li5ee" if request.name == b"ping" else b"llee"


def empty_v11_peer(request: Request) -> bytes:
    """Reply as a v1.1 peer without contacts that accepts every store."""
    payloads = {b"ping": b"li5ee", b"store": b"li1ee"}
    return payloads.get(request.name, b"ld7:closest0:ee")


def ping_only_peer(request: Request) -> bytes | None:
    """Reply to pings only."""
    return b"li5ee" if request.name == b"ping" else None


def requests_served(peer: ScriptedPeer) -> list[str]:
    """Return the names of the requests that a peer received while it served."""
    return [request.name.decode() for request in peer.requests]


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Yield to other greenlets until a condition holds; fail the test on timeout."""
    with gevent.Timeout(seconds, AssertionError("the condition never held")):
        while not condition():
            gevent.sleep(0.0005)
