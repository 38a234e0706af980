"""A worker: one process with many nodes, which the launcher starts.

Its first line of input is a Plan, further lines are WorkerCommands. It writes one
WorkerReport per line, and exits at the end of its input. It ignores ^C and SIGTERM, which
terminals and service managers send to all processes; the launcher handles them.
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

from kademlua.runtime.garbage_collection import relaxed_garbage_collection
from kademlua.swarm.logs import NodeLogHandler, has_no_node, unwritable_log_message
from kademlua.swarm.plan import Plan, WorkerCommand, WorkerReport, encode_line, node_id
from kademlua.swarm.worker_nodes import WorkerNodes

logger = logging.getLogger("kademlua.swarm.worker")  # not __main__

_InputFile: TypeAlias = "FileObjectPosix[io.BufferedReader, bytes]"
_OutputFile: TypeAlias = "FileObjectPosix[io.BufferedWriter, bytes]"

_REPORT_SECONDS = 0.05
_SECONDS_PER_INVENTORY = 3


def main() -> NoReturn:
    """Run the configured nodes until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    input_file = FileObjectPosix(sys.stdin.fileno(), "rb", close=False)
    output_file = FileObjectPosix(os.dup(1), "wb")
    os.dup2(2, 1)  # output of print must not mix with the reports
    line = input_file.readline()
    if not line:
        _exit(0)
    plan = Plan.from_line(line)
    try:
        log_handler = _set_up_logging(plan)
    except OSError as error:
        _exit_with_error(output_file, unwritable_log_message(error))
    nodes = WorkerNodes(plan, log_handler)
    gevent.spawn(_handle_commands, input_file, nodes)
    gevent.spawn(nodes.start_all)
    with relaxed_garbage_collection():
        _send_reports(output_file, nodes)


def _send_reports(output_file: _OutputFile, nodes: WorkerNodes) -> NoReturn:
    """Send reports to the launcher when there is something to report."""
    reported_count, counted_at = 0, time.monotonic()
    lag_seconds, seconds = 0.0, 0
    while True:
        if not nodes.recorder.is_recording:
            nodes.report_needed.wait()
        nodes.report_needed.clear()
        slept_at = time.monotonic()
        gevent.sleep(_REPORT_SECONDS)
        lag_seconds = max(lag_seconds, time.monotonic() - slept_at - _REPORT_SECONDS)
        if nodes.error:
            _exit_with_error(output_file, nodes.error)
        totals: dict[str, int] = {}
        inventory = None
        if nodes.recorder.is_recording and time.monotonic() - counted_at >= 1:
            counted_at = time.monotonic()
            totals = nodes.recorder.collect_totals()
            if seconds % _SECONDS_PER_INVENTORY == 0:
                inventory = nodes.recorder.collect_inventory()
            seconds += 1
        events = nodes.recorder.drain()
        if events or totals or nodes.joined_count != reported_count:
            reported_count = nodes.joined_count
            report = WorkerReport(
                joined_count=reported_count,
                events=events,
                totals=totals,
                lag_seconds=lag_seconds if totals else 0.0,
                inventory=inventory,
            )
            if totals:
                lag_seconds = 0.0
            _send(output_file, report)


def _set_up_logging(plan: Plan) -> NodeLogHandler:
    """Log each node to its file, and other records to standard error (the worker's file)."""
    stderr_handler = logging.StreamHandler()
    stderr_handler.addFilter(has_no_node)
    node_handler = NodeLogHandler(Path(plan.log_dir))
    for port in plan.ports:
        node_handler.create_log(node_id(port), str(port))
    logging.basicConfig(level=logging.INFO, handlers=[node_handler, stderr_handler])
    return node_handler


def _handle_commands(input_file: _InputFile, nodes: WorkerNodes) -> None:
    """Execute the launcher's commands until the input ends."""
    for line in input_file:
        try:
            nodes.handle(WorkerCommand.from_line(line))
        except Exception:
            logger.exception("a command failed")
    _exit(0)


def _exit_with_error(output_file: _OutputFile, reason: str) -> NoReturn:
    _send(output_file, WorkerReport(error=reason))
    _exit(1)


def _send(output_file: _OutputFile, report: WorkerReport) -> None:
    """Send a whole report; an unbuffered file would cut it at the capacity of the pipe."""
    output_file.write(encode_line(report))
    output_file.flush()


def _exit(code: int) -> NoReturn:
    """Exit immediately. The whole swarm ends, so handover and an orderly close are useless."""
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
