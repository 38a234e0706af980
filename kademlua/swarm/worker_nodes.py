"""The nodes of one worker."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent import Greenlet
from gevent.event import Event
from gevent.lock import Semaphore

from kademlua.core.contact import ContactPool, format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.params import Params
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.swarm.event_recorder import EventRecorder
from kademlua.swarm.logs import NodeLogHandler
from kademlua.swarm.plan import Plan, WorkerCommand, node_id

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)

MAX_CONCURRENT_JOINS = 16
"""Maximum nodes of a worker that join concurrently, as all share one processor."""
MAX_REPORTED_PER_SECOND = 24
"""Maximum lookups of all workers' nodes to report per second."""
GENERATED_PER_SECOND = 2.0
"""Lookups that these nodes generate per second, for display, while there are subscribers."""
_JOIN_LOG_SECONDS = 60.0


class WorkerNodes:
    """Starts and kills the nodes of one process, and executes commands."""

    def __init__(self, plan: Plan, log_handler: NodeLogHandler) -> None:
        self._plan = plan
        self._log_handler = log_handler
        self._pool = ContactPool()
        self._params = Params()
        self._rng = random.SystemRandom()
        self._nodes: dict[int, Node] = {}
        """Running nodes by port."""
        self._states: dict[int, NodeState] = {}
        self.joined_count = 0
        """Number of configured nodes that have joined, including those killed since."""
        self.recorder = EventRecorder()
        """Events of the nodes."""
        self.report_needed = Event()
        """Set when there may be something to report to the launcher."""
        self._lookup_generator: Greenlet[[], None] | None = None
        self._join_slots = Semaphore(1)
        self.error = ""
        """The reason why the worker cannot continue, or empty."""

    def start_all(self) -> None:
        """Start all nodes, each batch as large as the number of joined nodes, at most
        ``MAX_CONCURRENT_JOINS``.

        The first nodes form a network for the next ones. More concurrent joins would delay
        replies until calls time out.
        """
        for port in self._plan.ports:
            self._join_slots.acquire()
            gevent.spawn(self._start_initial, port)

    def handle(self, command: WorkerCommand) -> None:
        """Execute a command of the launcher."""
        match command.action:
            case "kill":
                self._kill(command.port)
            case "join":
                gevent.spawn(self._start_late, command.port)
            case "watch":
                self.recorder.start(-(-MAX_REPORTED_PER_SECOND // self._plan.worker_count))
                if self._lookup_generator is None:
                    self._lookup_generator = gevent.spawn(self._generate_lookups)
            case "unwatch":
                self.recorder.stop()
                if self._lookup_generator is not None:
                    self._lookup_generator.kill(block=False)
                    self._lookup_generator = None
        self.report_needed.set()

    def _start_initial(self, port: int) -> None:
        """Start a configured node and wait until it has joined."""
        try:
            self._start_and_join(port)
        except KademluaError as error:
            self.error = self.error or str(error)
        self.joined_count += 1
        self._join_slots.release()
        if self.joined_count < MAX_CONCURRENT_JOINS:
            self._join_slots.release()
        self.report_needed.set()

    def _start_and_join(self, port: int) -> None:
        """Start a node and wait until it has joined.

        Raises:
            KademluaError: the node cannot start.
        """
        plan = self._plan
        state = self._open_state(port)
        saved: dict[str, Any] = {}
        if state is not None:
            saved["store"] = state.store
            saved["publication_store"] = state.publications
            saved["cached_endpoints"] = [each.endpoint for each in state.contacts]
        node = Node(
            port,
            plan.host,
            bootstrap=[plan.bootstrap],
            params=self._params,
            options=NodeOptions(
                id=node_id(port),
                network_keys=plan.network_keys,
                rng=self._rng,
                contact_pool=self._pool,
                **saved,
            ),
        )
        try:
            node.start()
        except OSError as error:
            if state is not None:
                state.close()
            address = format_endpoint((plan.host, port))
            raise KademluaError(f"can't listen on {address}: {error.strerror}") from None
        self._nodes[port] = node
        self.recorder.add_node(node)
        logger.info("node %s on port %d", node.id.hex(), port, extra={"node": node.id})
        while not node.wait_joined(_JOIN_LOG_SECONDS):
            logger.info("still not joined", extra={"node": node.id})
        if state is not None:
            # Save now, because a swarm exits without an orderly close.
            state.save_table(node)
            state.start_autosave(node)
            self._states[port] = state
        self._record_event("node-joined", port)

    def _start_late(self, port: int) -> None:
        """Start a node after the initial ones. A failure counts as its end; the others continue."""
        if port not in self._plan.ports:
            self._log_handler.create_log(node_id(port), str(port))
        self._record_event("node-began", port)
        try:
            self._start_and_join(port)
        except KademluaError as error:
            logger.warning("can't start a node: %s", error)
            self._record_event("node-ended", port)

    def _kill(self, port: int) -> None:
        """Close a joined node without handover."""
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

    def _generate_lookups(self) -> None:
        """Let random nodes look up random ids, at a mean rate. Never returns."""
        per_second = GENERATED_PER_SECOND / self._plan.worker_count
        while True:
            gevent.sleep(self._rng.expovariate(per_second))
            joined = [node for node in self._nodes.values() if node.joined]
            if joined:
                gevent.spawn(_find_node, self._rng.choice(joined), self._rng.randbytes(20))

    def _open_state(self, port: int) -> NodeState | None:
        """Open the saved state of the node on a port, or return None without a data directory."""
        if not self._plan.data_dir:
            return None
        from kademlua.storage.node_state import NodeState

        # A swarm never closes its files; verifying each file in a process is too slow.
        path = Path(self._plan.data_dir) / str(port)
        state = NodeState(path, self._params, verify_unclean=False)
        state.persist_id(node_id(port))
        return state


def _find_node(node: Node, target: bytes) -> None:
    try:
        node.find_node(target)
    except KademluaError:  # the node was closed meanwhile
        pass
