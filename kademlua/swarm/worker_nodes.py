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
from kademlua.node.options import NodeOptions
from kademlua.swarm.event_recorder import EventRecorder
from kademlua.swarm.logs import NodeLogHandler
from kademlua.swarm.plan import WorkerCommand, WorkerConfig, node_id

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)

MAX_CONCURRENT_JOINS = 16
"""Nodes of a worker that join at a time, at most: more only wait for the same processor."""
_JOIN_LOG_SECONDS = 60.0


class WorkerNodes:
    """The nodes of one process: how they come to be, and what is done with them."""

    def __init__(self, config: WorkerConfig, log_handler: NodeLogHandler) -> None:
        self._config = config
        self._log_handler = log_handler
        self._pool = ContactPool()
        self._params = Params()
        self._rng = random.SystemRandom()
        self._nodes: dict[int, Node] = {}
        """Those that run, by their ports."""
        self._states: dict[int, NodeState] = {}
        self.joined_count = 0
        """How many of the order's nodes have joined; what became of them since does not count."""
        self.recorder = EventRecorder()
        """What happens among its nodes."""
        self.report_needed = Event()
        """Set when there may be something to report."""
        self._lookup_generator: Greenlet[[float], None] | None = None
        self._joining_count = 0
        self._join_slot_freed = Event()
        self.error = ""
        """Why it can't go on."""

    def start_all(self) -> None:
        """Start all nodes, as many at a time as have joined before them, at most
        ``MAX_CONCURRENT_JOINS``.

        So the first ones make a network that the next ones find, and none waits so long
        for the processor that the others take it for dead.
        """
        first = self._config.first_port
        for port in range(first, first + self._config.node_count):
            while self._joining_count >= min(self.joined_count + 1, MAX_CONCURRENT_JOINS):
                self._join_slot_freed.clear()
                self._join_slot_freed.wait()
            self._joining_count += 1
            gevent.spawn(self._start_initial, port)

    def handle(self, command: WorkerCommand) -> None:
        """Do what the launcher wants."""
        if command.action == "kill":
            self._kill(command.port)
        elif command.action == "join":
            gevent.spawn(self._start_late, command.port)
        elif command.action == "watch":
            self.recorder.start(command.max_reported_per_second)
            if self._lookup_generator is None:
                self._lookup_generator = gevent.spawn(
                    self._generate_lookups, command.generated_per_second
                )
        elif command.action == "unwatch":
            self.recorder.stop()
            gevent.killall(
                [self._lookup_generator] if self._lookup_generator is not None else [], block=False
            )
            self._lookup_generator = None
        self.report_needed.set()

    def _start_initial(self, port: int) -> None:
        """Start one node and wait until it has joined; runs in a greenlet of its own."""
        self.error = self.error or self._start_and_join(port)
        self.joined_count += 1
        self._joining_count -= 1
        self._join_slot_freed.set()
        self.report_needed.set()

    def _start_and_join(self, port: int) -> str:
        """Start a node and wait until it has joined; why that can't be, or nothing."""
        config = self._config
        try:
            state = self._open_state(port)
        except KademluaError as error:
            return str(error)
        node = Node(
            port,
            config.host,
            bootstrap=[config.bootstrap],
            params=self._params,
            options=NodeOptions(
                id=node_id(port),
                network_keys=config.network_keys,
                rng=self._rng,
                contact_pool=self._pool,
                store=state.store if state is not None else None,
                publication_store=state.publications if state is not None else None,
                cached_endpoints=[each.endpoint for each in state.contacts]
                if state is not None
                else (),
            ),
        )
        try:
            node.start()
        except OSError as error:
            address = format_endpoint((config.host, port))
            if state is not None:
                state.close()
            return f"can't listen on {address}: {error.strerror}"
        self._nodes[port] = node
        self.recorder.add_node(node)
        logger.info("node %s on port %d", node.id.hex(), port, extra={"node": node.id})
        while not node.wait_joined(_JOIN_LOG_SECONDS):
            logger.info("still not joined", extra={"node": node.id})
        if state is not None:
            # Also now: at its end a swarm has no time for it.
            state.save_table(node)
            state.start_autosave(node)
            self._states[port] = state
        self._record_event("node-joined", port)
        return ""

    def _start_late(self, port: int) -> None:
        """Start a node that comes after the others. Where that can't be, it is as if it had died:
        the others go on."""
        if port not in range(
            self._config.first_port, self._config.first_port + self._config.node_count
        ):
            self._log_handler.create_log(node_id(port), str(port))
        self._record_event("node-began", port)
        reason = self._start_and_join(port)
        if reason:
            logger.warning("a node could not come: %s", reason)
            self._record_event("node-ended", port)

    def _kill(self, port: int) -> None:
        """End a node that has joined; it says good-bye to nobody."""
        node = self._nodes.pop(port, None)
        if node is None:
            return
        self.recorder.remove_node(node)
        node.close(hand_over=False)
        state = self._states.pop(port, None)
        if state is not None:
            state.close()
        self._record_event("node-ended", port)

    def _record_event(self, name: str, port: int) -> None:
        self.recorder.record_always(name, {"port": port})
        self.report_needed.set()

    def _generate_lookups(self, per_second: float) -> None:
        """Have nodes look up ids, any of them, about so often; it never ends."""
        while True:
            gevent.sleep(self._rng.expovariate(per_second))
            joined = [node for node in self._nodes.values() if node.joined]
            if joined:
                gevent.spawn(_find_node, self._rng.choice(joined), self._rng.randbytes(20))

    def _open_state(self, port: int) -> NodeState | None:
        """What the node on a port keeps on disk, if anything."""
        if not self._config.data_dir:
            return None
        from kademlua.storage.node_state import NodeState

        # A swarm never ends cleanly, and a process for each file of each node is too much.
        path = Path(self._config.data_dir) / str(port)
        state = NodeState(path, self._params, verify_unclean=False)
        state.persist_id(node_id(port))
        return state


def _find_node(node: Node, target: bytes) -> None:
    try:
        node.find_node(target)
    except KademluaError:  # it was about to end
        pass
