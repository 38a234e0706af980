"""The node under attack on a virtual network, with honest neighbours and stored values."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import accumulate

import gevent

from kademlua import Contact, ContactPool, Node, NodeOptions, Params
from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.simulation.clock.loop import run_virtual, virtual_now
from kademlua.simulation.network.latency import ConstantLatency
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.rng_streams import RngStreams
from tests.security.attacker import Attacker
from tests.security.places import KEYS, NEIGHBOURS, NODE, NODE_ID, SOURCES, STORED_SIZES
from tests.security.plans import Action, Plan, Step

_ONE_WAY = 0.05
"""Seconds."""
_UPKEEP = Params(
    replicas=8,
    freshness_window=60,
    replicate_interval=60,
    refresh_interval=120,
    maintenance_interval=10,
    cache_ttl=60,
)
_NO_UPKEEP = Params(
    replicas=8,
    freshness_window=86_400,
    replicate_interval=86_400,
    refresh_interval=86_400,
    maintenance_interval=60,
    cache_ttl=60,
)
_TAIL, _UPKEEP_TAIL = 12.0, 90.0
"""Seconds after the last step in which the node is still watched."""
_MAX_SECONDS = 1_560
_QUIET_RUNS = 5
_EARLY = 120
"""Seconds by which an attack may hasten a round of upkeep without an effect on the result."""
_NEIGHBOUR_ENDPOINTS = frozenset(each.endpoint for each in NEIGHBOURS)
_SOURCE_ENDPOINTS = frozenset(SOURCES)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A datagram of the attacker or of the node, except what the node sends to its neighbours."""

    at: float
    source: Endpoint
    destination: Endpoint
    data: bytes


@dataclass(slots=True)
class Trace:
    """What a plan caused."""

    datagrams: list[Datagram] = field(default_factory=list)
    attacker_bytes: int = 0
    neighbour_sizes: list[tuple[float, int]] = field(default_factory=list)
    """When the node sent how many bytes to honest neighbours."""
    seconds: float = 0.0

    @property
    def sent_by_node(self) -> list[Datagram]:
        """The node's datagrams to the attacker and to third parties."""
        return [each for each in self.datagrams if each.source == NODE]

    def observe(
        self, at: float, source: Endpoint, destination: Endpoint, data: bytes, _: str
    ) -> None:
        """Record a datagram; an observer of the network."""
        if source == NODE and destination in _NEIGHBOUR_ENDPOINTS:
            self.neighbour_sizes.append((at, len(data)))
        elif source == NODE or source in _SOURCE_ENDPOINTS:
            self.datagrams.append(Datagram(at, source, destination, data))


def caused_bytes(plan: Plan, trace: Trace) -> int:
    """Return the bytes that an attack made the node send.

    To its neighbours: those beyond what the node sends there without an attack.
    """
    to_neighbours = sum(size for _, size in trace.neighbour_sizes)
    usual = _usual_bytes(has_upkeep=plan.has_upkeep)[int(trace.seconds) + _EARLY]
    others = sum(len(each.data) for each in trace.sent_by_node)
    return others + max(0, to_neighbours - usual)


@lru_cache
def _usual_bytes(*, has_upkeep: bool) -> list[int]:
    """Return the bytes sent to neighbours without an attack until each second, the most of some
    runs."""
    runs = []
    for seed in range(_QUIET_RUNS):
        trace = run(Plan((), has_upkeep), seed=seed, seconds=_MAX_SECONDS + _EARLY)
        per_second = [0] * (_MAX_SECONDS + _EARLY + 1)
        for at, size in trace.neighbour_sizes:
            per_second[min(int(at), len(per_second) - 1)] += size
        runs.append(list(accumulate(per_second)))
    return [max(together) for together in zip(*runs, strict=True)]


def run(plan: Plan, *, is_validated: bool = False, seed: int = 0, seconds: float = 0.0) -> Trace:
    """Run a plan against a new node; the same plan has the same trace."""
    trace = Trace()
    run_virtual(partial(_run, plan, trace, is_validated, seed, seconds))
    return trace


def _run(plan: Plan, trace: Trace, is_validated: bool, seed: int, seconds: float) -> None:
    net = VirtualNetwork(RngStreams(seed), ConstantLatency(_ONE_WAY))
    for contact in NEIGHBOURS:
        transport = net.transport(*contact.endpoint)
        transport.start(partial(_answer_honestly, contact, transport.send))
    attacker = Attacker(net, is_validated=is_validated)
    node = _start_node(net, seed, _UPKEEP if plan.has_upkeep else _NO_UPKEEP)
    net.set_observer(trace.observe)
    try:
        if is_validated:
            attacker.introduce()
            gevent.sleep(1)
        for step in plan.steps:
            _perform(step, node, attacker)
            gevent.sleep(step.wait)
        gevent.sleep(_UPKEEP_TAIL if plan.has_upkeep else _TAIL)
        if virtual_now() < seconds:
            gevent.sleep(seconds - virtual_now())
    finally:
        node.close(hand_over=False)
    trace.attacker_bytes, trace.seconds = attacker.bytes_sent, virtual_now()


def _start_node(net: VirtualNetwork, seed: int, params: Params) -> Node:
    node = Node(
        NODE[1],
        NODE[0],
        params=params,
        options=NodeOptions(
            id=NODE_ID,
            clock=virtual_now,
            wall_clock=virtual_now,
            rng=random.Random(seed),
            transport=net.transport(*NODE),
            contact_pool=ContactPool(),
        ),
    )
    for contact in NEIGHBOURS:
        node.table.on_reply(contact, 0.0)
    node.table.drain_changes()  # they are not new, and need no values
    for key, sizes in zip(KEYS, STORED_SIZES, strict=False):
        for owner, size in zip(NEIGHBOURS, sizes, strict=False):
            encoded = replies.encode_value(b"v" * size)
            node.datastore.put(key, owner, StoreEntry(encoded, 86_400.0, received_at=0.0))
    node.start()
    return node


def _perform(step: Step, node: Node, attacker: Attacker) -> None:
    match step.action:
        case Action.USER_FIND:
            gevent.spawn(_ignoring_failure, partial(node.find_value, KEYS[step.key].ljust(20)[:20]))
        case Action.USER_ADD:
            value = b"w" * step.value_bytes
            key = KEYS[step.key].ljust(20)[:20]
            gevent.spawn(_ignoring_failure, partial(node.add, key, value))
        case _:
            attacker.send(step)


def _ignoring_failure(operation: Callable[[], object]) -> None:
    with suppress(KademluaError):
        operation()


def _answer_honestly(
    contact: Contact,
    send: Callable[[bytes, Endpoint], bool],
    datagram: bytes,
    endpoint: Endpoint,
) -> None:
    """Answer as a neighbour that knows its neighbours and accepts each value."""
    request = packets.decode(datagram)
    if not isinstance(request, Request):
        return
    match request.name:
        case b"ping":
            payload = replies.PONG
        case b"findnode" | b"findvalue":
            payload = replies.encode_findnode_reply(NEIGHBOURS[:20], 1)
        case b"getsocket":
            payload = replies.encode_getsocket_reply(*NODE)
        case _:
            payload = replies.STORE_OK
    send(packets.encode_response(contact.id, request.rpc_id, payload), endpoint)
