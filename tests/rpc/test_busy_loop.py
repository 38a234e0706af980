"""Calls of a node whose event loop was busy: replies that wait in the socket are not late."""

from __future__ import annotations

import socket
import threading
import time

import gevent

from kademlua import Contact, Node, Params, sha1
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.support.peers import empty_v11_peer

FIND_COUNT = 100  # so that their queries fit into the receive buffer of the peer


def test_replies_that_wait_in_the_socket_are_not_late() -> None:
    counts: dict[bytes, int] = {}

    def serve(sock: socket.socket) -> None:
        """Answer each request at once, whatever the event loop does."""
        while (received := sock.recvfrom(65_536))[0]:
            request = packets.decode(received[0])
            assert isinstance(request, Request)
            reply = empty_v11_peer(request)
            sock.sendto(packets.encode_response(sha1("peer"), request.rpc_id, reply), received[1])
            counts[request.name] = counts.get(request.name, 0) + 1

    def stop_the_loop_until_all_are_answered() -> None:
        time.sleep(0.4)  # longer than the RTO, and than a flood may delay it
        while counts.get(b"findvalue", 0) < FIND_COUNT:
            time.sleep(0.01)

    params = Params(min_rto=0.1)  # a shorter one would depend on when the thread of the peer runs
    with Node(params=params) as node, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        peer = Contact(*sock.getsockname(), sha1("peer"))
        server = threading.Thread(target=serve, args=(sock,))
        server.start()
        try:
            for _ in range(50):  # learn that a round trip takes less than a millisecond
                node.ping(peer)
            finds = [
                gevent.spawn(node.find_value, sha1(f"{number}")) for number in range(FIND_COUNT)
            ]
            # Each find has sent its query before this greenlet, the last one, runs.
            gevent.spawn(stop_the_loop_until_all_are_answered).join()
            gevent.joinall(finds, raise_error=True)
        finally:
            sock.sendto(b"", peer.endpoint)
            server.join()
    assert counts[b"findvalue"] == FIND_COUNT
