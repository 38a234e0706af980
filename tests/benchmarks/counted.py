"""The process whose instructions ``instructions`` counts.

It prepares and warms up once. Then it forks for each kind of work: one child that does more of
it, beside one that does nothing more. The difference of the two is the cost of the work. All is the
same in each run: ids, keys, values, clock and order.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from itertools import count, product

import gevent

from kademlua import ContactPool, Node, NodeOptions, Params
from kademlua.core.contact import Endpoint
from kademlua.core.ids import random_id
from kademlua.core.wire import packets as protocol
from kademlua.core.wire.packets import Response
from kademlua.runtime.transport import DatagramHandler
from kademlua.simulation.clock.loop import run_virtual, virtual_loop, virtual_now
from tests.benchmarks.measuring import make_jobs
from tests.benchmarks.null_transport import NullTransport, fill_table
from tests.benchmarks.packets import ASKER, RPCS, VERSIONS, requests_for
from tests.benchmarks.serving import PARAMS

REPLICAS = (8, 20)
NODES = 41
WARM_UP = 50
"""Requests or operations of each kind before; the interpreter has then adapted to them."""
MORE_REQUESTS = 500
MORE_OPERATIONS = 100
_NOTHING = "nothing"
_TICK = 0.0001
"""Seconds between two looks at the clock: too little time for limits and pauses to matter."""


def _in_child(kind: str, operations: int, work: Callable[[], None]) -> None:
    """Run a child that works and exits; print kind, number of operations, and its pid."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"{kind} failed")
    print(kind, operations, pid, sep="\t", flush=True)


def serve() -> None:
    """Hand a node requests of all kinds, then in children more of one kind.

    The node's replies go nowhere. No system call is made, and no other greenlet runs.
    """
    rng = random.Random(1)
    transport = NullTransport()
    # A clock in C: one in Python would add its own instructions.
    clock = count(1000.0, _TICK).__next__
    options = NodeOptions(id=random_id(rng), transport=transport, clock=clock, rng=rng)
    node = Node(params=PARAMS, options=options)
    node.start()
    sender = fill_table(node, rng)[ASKER]
    keys = [random_id(rng) for _ in range(WARM_UP + MORE_REQUESTS)]
    more: dict[str, list[bytes]] = {_NOTHING: []}
    for rpc, version in product(RPCS, VERSIONS):
        kind = f"{rpc} {version}"
        packets = list(requests_for(rpc, version, sender.id, keys, rng))
        _deliver(node, transport, packets[:WARM_UP], sender.endpoint)
        if rpc == "findvalue":  # only the keys of the warm-up have values
            packets *= 1 + MORE_REQUESTS // WARM_UP
        more[kind] = packets[WARM_UP : WARM_UP + MORE_REQUESTS]
    gc.collect()
    for kind, packets in more.items():
        deliver = partial(_deliver, node, transport, packets, sender.endpoint)
        _in_child(kind, len(packets), deliver)


def _deliver(
    node: Node, transport: NullTransport, packets: list[bytes], endpoint: Endpoint
) -> None:
    """Hand the node the packets, and check that it replies to all."""
    receive, sent = transport.receive, node.stats()["packets_out"]
    for packet in packets:
        receive(packet, endpoint)
    _check(transport.sent)
    if node.stats()["packets_out"] - sent != len(packets):
        raise RuntimeError("the node did not reply to all requests")


def _check(datagram: bytes) -> None:
    reply = protocol.decode(datagram) if datagram else None
    if not isinstance(reply, Response) or reply.packet_type != protocol.RESPONSE:
        raise RuntimeError("the node did not reply as it should")


class LoopTransport(NullTransport):
    """Hands datagrams to the other nodes of this process, in the next turn of the hub."""

    def __init__(self, number: int, handlers: dict[Endpoint, DatagramHandler]) -> None:
        super().__init__()
        self.local_endpoint = (f"10.0.0.{number}", 4000)
        self._handlers = handlers
        self._run_callback = virtual_loop().run_callback

    def start(self, receive: DatagramHandler) -> None:
        """Take part in the network."""
        self._handlers[self.local_endpoint] = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Hand over the datagram soon."""
        self._run_callback(self._handlers[endpoint], datagram, self.local_endpoint)
        return True


def operate(replicas: int) -> None:
    """Put and get values in a network on virtual time, then in children more of them."""
    rng = random.Random(1)
    nodes = _network(replicas, rng)
    for node in nodes:
        for _ in range(3):
            node.find_node(random_id(rng))
    jobs = make_jobs(WARM_UP + MORE_OPERATIONS, range(NODES), rng)

    def put(number: int) -> object:
        job = jobs[number]
        return nodes[job.writer].add(job.key, job.value).acknowledged

    def get(number: int) -> object:
        job = jobs[number % WARM_UP]  # only these have been put
        return nodes[job.reader].find_value(job.key, max_nodes=1)

    for operation in (put, get):
        _perform(operation, range(WARM_UP))
    gc.collect()
    more = range(WARM_UP, WARM_UP + MORE_OPERATIONS)
    _in_child(_NOTHING, 0, lambda: _perform(put, range(0)))
    _in_child(f"put {replicas}", MORE_OPERATIONS, lambda: _perform(put, more))
    _in_child(f"get {replicas}", MORE_OPERATIONS, lambda: _perform(get, more))


def _perform(operation: Callable[[int], object], numbers: range) -> None:
    for number in numbers:
        if not operation(number):
            raise RuntimeError("an operation failed")
        gevent.sleep(1)  # of virtual time: no limit of rate matters


def _network(replicas: int, rng: random.Random) -> list[Node]:
    """Nodes with the same ids each time that have joined."""
    params = Params(
        replicas=replicas,
        freshness_window=PARAMS.freshness_window,
        maintenance_interval=PARAMS.maintenance_interval,
        refresh_interval=PARAMS.refresh_interval,
    )
    pool, handlers, nodes = ContactPool(), dict[Endpoint, DatagramHandler](), list[Node]()
    for number in range(1, NODES + 1):
        options = NodeOptions(
            id=random_id(rng),
            transport=LoopTransport(number, handlers),
            clock=virtual_now,
            wall_clock=virtual_now,
            rng=random.Random(number),
            contact_pool=pool,
        )
        bootstrap = [nodes[0].contact.endpoint] if nodes else []
        node = Node(params=params, options=options, bootstrap=bootstrap)
        node.start()
        nodes.append(node)
        if bootstrap and not node.wait_joined(30):
            raise RuntimeError("a node did not join")
    return nodes


if __name__ == "__main__":
    serve()
    for each in REPLICAS:
        run_virtual(partial(operate, each))
