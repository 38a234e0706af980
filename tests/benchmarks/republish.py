"""A million published keys: lookups, packets and memory of one cycle of republishing.

python -m tests.benchmarks.republish --nodes 10000 --keys 1000000

The publisher is a node. The others only answer: they know the closest nodes exactly, and
acknowledge values without storing them: twenty copies of a million values need too much memory.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import gevent

from kademlua import Contact, Node, Params, Publication
from kademlua.core.contact import Endpoint
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, store_many
from kademlua.core.wire.packets import Request
from kademlua.runtime.observers import Observer
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network.id_index import IdIndex
from kademlua.simulation.network.links import VirtualTransport
from tests.support.world import World

_PONG = b"li5ee"
_VALUE_BYTES = 100
_TTL = 86_400
_JOIN_SECONDS = 120


class Holders:
    """Peers that know each other and acknowledge all stores."""

    def __init__(self, world: World, count: int, k: int) -> None:
        self._k = k
        self._index = IdIndex()
        self._contacts: dict[int, Contact] = {}
        self.stored: Counter[bytes] = Counter()
        """Values by the id of the holder, in this cycle."""
        rng = random.Random(1)
        for number in range(count):
            endpoint = (f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", 4000)
            self._add(world.net.transport(*endpoint), Contact(*endpoint, rng.randbytes(20)))

    def _add(self, transport: VirtualTransport, contact: Contact) -> None:
        self._contacts[contact.id_int] = contact
        self._index.add(contact.id_int)
        transport.start(partial(self._on_datagram, transport, contact.id))

    @property
    def first(self) -> Endpoint:
        """The endpoint of one of them."""
        return next(iter(self._contacts.values())).endpoint

    def _on_datagram(
        self, transport: VirtualTransport, node_id: bytes, datagram: bytes, source: Endpoint
    ) -> None:
        request = packets.decode(datagram)
        if isinstance(request, Request):
            payload = self._answer(node_id, request)
            transport.send(packets.encode_response(node_id, request.rpc_id, payload), source)

    def _answer(self, node_id: bytes, request: Request) -> bytes:
        if request.name == b"findnode":
            target = to_int(request.args[0])
            closest = [self._contacts[each] for each in self._index.closest(target, self._k)]
            return replies.encode_findnode_reply(closest, 1, b"token")
        if request.name == b"storemany":
            count = len(request.args[1])
            self.stored[node_id] += count
            return store_many.encode_reply([replies.STORE_OK] * count)
        self.stored[node_id] += request.name == b"store"
        return _PONG if request.name == b"ping" else replies.STORE_OK


class Rows:
    """Publications as a node loads them from its disk; the sweep has just stored all of them."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[Publication]:
        rng = random.Random(2)
        for seq in range(1, self._count + 1):
            encoded = b"%d:%b" % (_VALUE_BYTES, rng.randbytes(_VALUE_BYTES))
            yield Publication(rng.randbytes(20), encoded, _TTL, seq << 20)

    def put(self, publication: Publication) -> None:
        pass

    def remove(self, key: bytes) -> bool:
        return False

    def swept_at(self) -> float:
        return virtual_now() or 1e-9

    def save_swept_at(self, at: float) -> None:
        pass

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        callback(None)


class LookupCounter(Observer):
    """Counts the lookups of a node by their purpose."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_lookup_finished(self, rpc_name: str, purpose: str, seconds: float, queries: int) -> None:
        self.counts[purpose] += 1


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=262_144, help="bytes a second of upkeep")
    options = parser.parse_args(arguments)
    world = World()

    def measure() -> None:
        params = Params(replication_bytes_per_second=options.rate)
        holders = Holders(world, options.nodes, params.k)
        print(f"{_peak_megabytes():.0f} MB with {options.nodes:,} holders")
        lookups, began_at = LookupCounter(), time.process_time()
        node = world.node(
            holders.first,
            params=params,
            read_only=True,
            publication_store=Rows(options.keys),
        )
        node.observe(lookups)
        assert node.wait_joined(30)
        print(f"{_peak_megabytes():.0f} MB with {options.keys:,} published keys, joined")
        _run_cycle(node, holders, lookups, params)
        print(f"{time.process_time() - began_at:.0f} s CPU; {_peak_megabytes():.0f} MB at most")

    world.run(measure)


def _run_cycle(node: Node, holders: Holders, lookups: LookupCounter, params: Params) -> None:
    """Let all keys be stored once, and print what that took."""
    rates: list[int] = []
    lag = 0.0
    minutes = round(params.republish_interval / 60)
    for _ in range(minutes):
        before = node.stats()["bytes_out"]
        gevent.sleep(60)
        stats = node.stats()
        rates.append((stats["bytes_out"] - before) // 60)
        lag = max(lag, stats["republish_lag"])
    stats, found = node.stats(), lookups.counts["publish"]
    stored = holders.stored.total()
    keys = len(node.services.republisher)
    regions = max(1.0, (len(holders.stored) / params.k))
    print(f"{stored / keys:.2f} copies of a key stored, by {len(holders.stored):,} holders")
    print(f"{found:,} lookups: {found / regions:.2f} for each of {regions:,.0f} regions")
    print(f"calls: {stats['calls_by_rpc']}, timeouts: {stats['timeouts']}")
    print(f"bytes per second in a minute: {min(rates):,} to {max(rates):,}")
    print(f"lag: at most {lag:.0f} s, then {stats['republish_lag']:.0f} s")


if __name__ == "__main__":
    main()
