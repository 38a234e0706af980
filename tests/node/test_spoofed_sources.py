"""A hundred thousand datagrams with forged sources, on real sockets."""

from __future__ import annotations

import gc
import random
from collections import Counter

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from tests.benchmarks.measuring import resident_bytes
from tests.support.peers import wait_until
from tests.support.spoofing import IS_SUPPORTED, Spoofer, random_request, spoofed_address

pytestmark = pytest.mark.skipif(not IS_SUPPORTED, reason="sources are chosen by Linux' IP_PKTINFO")

DATAGRAMS = 100_000
WARM_UP = 20_000
"""After so many, what is bounded is full."""


def test_hundred_thousand_forged_sources_get_no_reply() -> None:
    rng = random.Random(1)
    with Node(params=Params(maintenance_interval=86_400)) as node:
        known = {
            Contact("127.0.0.3", 1 + number, sha1(f"contact {number}")) for number in range(60)
        }
        for contact in known:
            node.table.on_reply(contact, node.services.context.clock())
        spoofer = Spoofer(node.contact.endpoint)
        sent: dict[str, int] = {}
        drawn: Counter[str] = Counter()
        memory = []
        try:
            for number in range(DATAGRAMS):
                datagram, addr = random_request(rng), spoofed_address(number)
                sent[addr] = len(datagram)
                spoofer.send(datagram, addr)
                if number % 50 == 49:
                    wait_until(lambda sent=number: node.services.context.stats.packets_in > sent)
                    for to, size in spoofer.received():
                        drawn[to] += size
                if number == WARM_UP:
                    memory.append(resident_bytes() - _size_of(sent, drawn))
            gevent.sleep(2)
            for to, size in spoofer.received():
                drawn[to] += size
            memory.append(resident_bytes() - _size_of(sent, drawn))
        finally:
            spoofer.close()
        stats = node.stats()
        assert stats["packets_in"] >= 0.99 * DATAGRAMS
        assert set(node.table) <= known
        assert len(node.datastore) == 0
        assert not node.datastore.tombstones
        assert sum(drawn.values()) > 0
        worst = max(size / sent[addr] for addr, size in drawn.items())
        assert worst <= 3
        assert sum(drawn.values()) / sum(sent.values()) <= 3
        gc.collect()
        assert memory[1] - memory[0] < 5 << 20


def _size_of(*counts: dict[str, int]) -> int:
    """About how many bytes the test's own books have."""
    return sum(each.__sizeof__() + 70 * len(each) for each in counts)
