"""A Sybil attack: hostile identities in few subnets surround one key."""

from __future__ import annotations

import random

import gevent

from kademlua.core.wire import packets
from kademlua.simulation.clock.loop import sleep_until, virtual_now
from kademlua.simulation.network.addresses import address_in_subnet
from kademlua.simulation.network.adversaries import HostileTransport, id_near
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import SybilSettings

_FLOODED_NODES = 40
"""Honest nodes near the key that a Sybil pings; it pings as many random nodes."""
_FLOOD_INTERVAL = 60.0


def start_sybils(sybils: SybilSettings, streams: RngStreams, population: Population) -> None:
    """Start the Sybils, spread over ``sybils.join`` seconds, and block meanwhile."""
    started_at = virtual_now()
    for number in range(sybils.count):
        sleep_until(started_at + number * sybils.join / sybils.count)
        rng = streams.stream("sybil", number)
        endpoint = address_in_subnet(number % sybils.networks, number // sybils.networks)
        node_id = id_near(population.attacked_key, sybils.bits, rng)
        transport = population.add_sybil(node_id, endpoint, rng, sybils.behaviours)
        transport.start(lambda datagram, endpoint: None)
        gevent.spawn(_flood_periodically, transport, rng, population)
    sleep_until(started_at + sybils.join)


def _flood_periodically(
    transport: HostileTransport, rng: random.Random, population: Population
) -> None:
    """Ping honest nodes, so that they consider the Sybil for their routing tables."""
    payload = packets.encode_request_payload(b"ping", b"", read_only=False)
    while True:
        live = population.live_members
        members = population.live_near(population.attacked_key, _FLOODED_NODES)
        members += rng.sample(live, min(_FLOODED_NODES, len(live)))
        for member in members:
            rpc_id = rng.randbytes(packets.RPC_ID_BYTES)
            transport.send(packets.encode_request(transport.id, rpc_id, payload), member.endpoint)
        gevent.sleep(_FLOOD_INTERVAL)
