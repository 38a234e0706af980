"""The nodes of one worker: they join, live, are watched, die, and others come."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.contact import ContactPool, format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.params import Params
from kademlua.node.node import Node
from kademlua.swarm.event_recorder import Teller
from kademlua.swarm.logs import NodeLogs
from kademlua.swarm.plan import Command, Order, node_id

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)

JOINS = 16
"""Nodes of a worker that join at a time, at most: more only wait for the same processor."""
_PATIENCE = 60.0


class WorkerNodes:
    """The nodes of one process: how they come to be, and what is done with them."""

    def __init__(self, order: Order, logs: NodeLogs) -> None:
        self._order = order
        self._logs = logs
        self._pool = ContactPool()
        self._params = Params()
        self._rng = random.SystemRandom()
        self._nodes: dict[int, Node] = {}
        """Those that run, by their ports."""
        self._states: dict[int, NodeState] = {}
        self.joined = 0
        """How many of the order's nodes have joined; what became of them since does not count."""
        self.teller = Teller()
        """What happens among its nodes."""
        self.news = Event()
        """Set when there may be something to report."""
        self._making: Greenlet[[float], None] | None = None
        self._under_way = 0
        self._may_begin = Event()
        self.error = ""
        """Why it can't go on."""

    def run(self) -> None:
        """Start all nodes, as many at a time as have joined before them, at most ``JOINS``.

        So the first ones make a network that the next ones find, and none waits so long
        for the processor that the others take it for dead.
        """
        first = self._order.first_port
        for port in range(first, first + self._order.count):
            while self._under_way >= min(self.joined + 1, JOINS):
                self._may_begin.clear()
                self._may_begin.wait()
            self._under_way += 1
            gevent.spawn(self._start, port)

    def obey(self, command: Command) -> None:
        """Do what the launcher wants."""
        if command.do == "kill":
            self._kill(command.port)
        elif command.do == "join":
            gevent.spawn(self._join_late, command.port)
        elif command.do == "watch":
            self.teller.watch(command.told)
            if self._making is None:
                self._making = gevent.spawn(self._make_lookups, command.made)
        elif command.do == "unwatch":
            self.teller.unwatch()
            gevent.killall([self._making] if self._making is not None else [], block=False)
            self._making = None
        self.news.set()

    def _start(self, port: int) -> None:
        """Start one node and wait until it has joined; runs in a greenlet of its own."""
        self.error = self.error or self._join(port)
        self.joined += 1
        self._under_way -= 1
        self._may_begin.set()
        self.news.set()

    def _join(self, port: int) -> str:
        """Start a node and wait until it has joined; why that can't be, or nothing."""
        order = self._order
        try:
            state = self._state(port)
        except KademluaError as error:
            return str(error)
        node = Node(
            port,
            order.host,
            id=node_id(port),
            bootstrap=[order.bootstrap],
            params=self._params,
            network_keys=order.network_keys,
            rng=self._rng,
            pool=self._pool,
            store=state.store if state is not None else None,
            publications=state.publications if state is not None else None,
            known=[each.endpoint for each in state.contacts] if state is not None else (),
        )
        try:
            node.start()
        except OSError as error:
            where = format_endpoint((order.host, port))
            if state is not None:
                state.close()
            return f"can't listen on {where}: {error.strerror}"
        self._nodes[port] = node
        self.teller.attend(node)
        logger.info("node %s on port %d", node.id.hex(), port, extra={"node": node.id})
        while not node.wait_joined(_PATIENCE):
            logger.info("still not joined", extra={"node": node.id})
        if state is not None:
            # Also now: at its end a swarm has no time for it.
            state.save_contacts_of(node)
            state.attend(node)
            self._states[port] = state
        self._tell("node-joined", port)
        return ""

    def _join_late(self, port: int) -> None:
        """Start a node that comes after the others. Where that can't be, it is as if it had died:
        the others go on."""
        if port not in range(self._order.first_port, self._order.first_port + self._order.count):
            self._logs.begin(node_id(port), str(port))
        self._tell("node-began", port)
        why = self._join(port)
        if why:
            logger.warning("a node could not come: %s", why)
            self._tell("node-ended", port)

    def _kill(self, port: int) -> None:
        """End a node that has joined; it says good-bye to nobody."""
        node = self._nodes.pop(port, None)
        if node is None:
            return
        self.teller.leave(node)
        node.close(hand_over=False)
        state = self._states.pop(port, None)
        if state is not None:
            state.close()
        self._tell("node-ended", port)

    def _tell(self, name: str, port: int) -> None:
        self.teller.announce(name, {"port": port})
        self.news.set()

    def _make_lookups(self, per_second: float) -> None:
        """Have nodes look up ids, any of them, about so often; it never ends."""
        while True:
            gevent.sleep(self._rng.expovariate(per_second))
            joined = [node for node in self._nodes.values() if node.joined]
            if joined:
                gevent.spawn(_look_up, self._rng.choice(joined), self._rng.randbytes(20))

    def _state(self, port: int) -> NodeState | None:
        """What the node on a port keeps on disk, if anything."""
        if not self._order.data_dir:
            return None
        from kademlua.storage.node_state import NodeState

        # A swarm never ends cleanly, and a process for each file of each node is too much.
        path = Path(self._order.data_dir) / str(port)
        state = NodeState(path, self._params, is_wary=False)
        state.keep_id(node_id(port))
        return state


def _look_up(node: Node, target: bytes) -> None:
    try:
        node.find_node(target)
    except KademluaError:  # it was about to end
        pass
