"""A worker: one process with many nodes. ``python -P -m kademlua.swarm.worker``; the launcher
starts it.

Its first line of input is its Order; the end of its input, however it comes about, is its
end. It writes Reports, one a line. ^C and SIGTERM are the launcher's business, though a
terminal or a service manager sends them to all processes.
"""

from __future__ import annotations

import io
import logging
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import gevent
from gevent.event import Event
from gevent.fileobject import FileObjectPosix

from kademlua.core.contact import ContactPool, format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.params import Params
from kademlua.node import Node
from kademlua.swarm.logs import NodeLogs, OfNoNode
from kademlua.swarm.plan import Order, Report, node_id

if TYPE_CHECKING:
    from kademlua.storage.state import NodeState

logger = logging.getLogger("kademlua.swarm.worker")  # not __main__

JOINS = 16
"""Nodes of a worker that join at a time, at most: more only wait for the same processor."""

_Source: TypeAlias = "FileObjectPosix[io.BufferedReader, bytes]"
_Sink: TypeAlias = "FileObjectPosix[io.FileIO, bytes]"

_REPORT_EVERY = 0.05
_PATIENCE = 60.0


class Worker:
    """The nodes of one process, and how they come to be."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._pool = ContactPool()
        self._params = Params()
        self._rng = random.SystemRandom()
        self._nodes: list[Node] = []
        self.joined = 0
        """How many of its nodes have joined."""
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

    def _start(self, port: int) -> None:
        """Start one node and wait until it has joined; runs in a greenlet of its own."""
        self._join(port)
        self._under_way -= 1
        self._may_begin.set()

    def _join(self, port: int) -> None:
        order = self._order
        try:
            state = self._state(port)
        except KademluaError as error:
            self.error = self.error or str(error)
            return
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
            self.error = self.error or f"can't listen on {where}: {error.strerror}"
            return
        self._nodes.append(node)
        logger.info("node %s on port %d", node.id.hex(), port, extra={"node": node.id})
        while not node.wait_joined(_PATIENCE):
            logger.info("still not joined", extra={"node": node.id})
        if state is not None:
            # Also now: at its end a swarm has no time for it.
            state.save_contacts_of(node)
            state.attend(node)
        self.joined += 1

    def _state(self, port: int) -> NodeState | None:
        """What the node on a port keeps on disk, if anything."""
        if not self._order.data_dir:
            return None
        from kademlua.storage.state import NodeState

        # A swarm never ends cleanly, and a process for each file of each node is too much.
        path = Path(self._order.data_dir) / str(port)
        state = NodeState(path, self._params, is_wary=False)
        state.keep_id(node_id(port))
        return state


def main() -> NoReturn:
    """Do what the order says until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    source = FileObjectPosix(sys.stdin.fileno(), "rb", close=False)
    sink = FileObjectPosix(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # whatever prints in here, it shall not end up among the reports
    line = source.readline()
    if not line:
        _end(0)
    order = Order.from_line(line)
    gevent.spawn(_end_with, source)
    try:
        _set_up_logging(order)
    except OSError as error:
        _fail(sink, f"can't write {error.filename}: {error.strerror}")
    worker = Worker(order)
    gevent.spawn(worker.run)
    told = 0
    while True:
        gevent.sleep(_REPORT_EVERY)
        if worker.error:
            _fail(sink, worker.error)
        if worker.joined != told:
            told = worker.joined
            sink.write(Report(joined=told).to_line())
        if told == order.count:
            break
    Event().wait()
    raise AssertionError("nobody sets it")


def _set_up_logging(order: Order) -> None:
    """Each node's records to its file, all others to standard error (the worker's file)."""
    rest = logging.StreamHandler()
    rest.addFilter(OfNoNode())
    nodes = NodeLogs(Path(order.log_dir))
    for port in range(order.first_port, order.first_port + order.count):
        nodes.begin(node_id(port), str(port))
    logging.basicConfig(level=logging.INFO, handlers=[nodes, rest])


def _end_with(source: _Source) -> None:
    while source.read(1024):
        pass
    _end(0)


def _fail(sink: _Sink, why: str) -> NoReturn:
    sink.write(Report(error=why).to_line())
    _end(1)


def _end(code: int) -> NoReturn:
    """End at once. The whole swarm ends: nobody is left to whom a node could say good-bye,
    and to take thousands of nodes apart one by one would take seconds."""
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
