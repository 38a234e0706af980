"""A worker: one process with many nodes. ``python -P -m kademlua.swarm.worker``; the launcher
starts it.

Its first line of input is its Order, any further one a Command; the end of its input, however it
comes about, is its end. It writes Reports, one a line. ^C and SIGTERM are the launcher's
business, though a terminal or a service manager sends them to all processes.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn, TypeAlias

import gevent
from gevent.fileobject import FileObjectPosix

from kademlua.swarm.logs import NodeLogs, OfNoNode
from kademlua.swarm.plan import Command, Order, Report, node_id
from kademlua.swarm.worker_nodes import WorkerNodes

logger = logging.getLogger("kademlua.swarm.worker")  # not __main__

_Source: TypeAlias = "FileObjectPosix[io.BufferedReader, bytes]"
_Sink: TypeAlias = "FileObjectPosix[io.FileIO, bytes]"

_REPORT_EVERY = 0.05


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
    try:
        logs = _set_up_logging(order)
    except OSError as error:
        _fail(sink, f"can't write {error.filename}: {error.strerror}")
    nodes = WorkerNodes(order, logs)
    gevent.spawn(_follow, source, nodes)
    gevent.spawn(nodes.run)
    _report(sink, nodes)


def _report(sink: _Sink, nodes: WorkerNodes) -> NoReturn:
    """Tell the launcher what there is to tell; never while there is nothing."""
    told, counted = 0, time.monotonic()
    while True:
        if not nodes.teller.watches:
            nodes.news.wait()
        nodes.news.clear()
        gevent.sleep(_REPORT_EVERY)
        if nodes.error:
            _fail(sink, nodes.error)
        totals: dict[str, int] = {}
        if nodes.teller.watches and time.monotonic() - counted >= 1:
            counted = time.monotonic()
            totals = nodes.teller.totals()
        events = nodes.teller.take()
        if events or totals or nodes.joined != told:
            told = nodes.joined
            sink.write(Report(joined=nodes.joined, events=events, totals=totals).to_line())


def _set_up_logging(order: Order) -> NodeLogs:
    """Each node's records to its file, all others to standard error (the worker's file)."""
    rest = logging.StreamHandler()
    rest.addFilter(OfNoNode())
    nodes = NodeLogs(Path(order.log_dir))
    for port in range(order.first_port, order.first_port + order.count):
        nodes.begin(node_id(port), str(port))
    logging.basicConfig(level=logging.INFO, handlers=[nodes, rest])
    return nodes


def _follow(source: _Source, nodes: WorkerNodes) -> None:
    """Do what the launcher says until it says no more."""
    for line in source:
        try:
            nodes.obey(Command.from_line(line))
        except Exception:
            logger.exception("a command failed")
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
