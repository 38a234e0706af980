"""The launcher: starts, monitors and ends the workers of a swarm."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.errors import KademluaError
from kademlua.swarm.churn import run_churn
from kademlua.swarm.event_hub import EventHub
from kademlua.swarm.logs import unwritable_log_message
from kademlua.swarm.members import Members
from kademlua.swarm.plan import Plan, WorkerCommand
from kademlua.swarm.worker_process import WorkerProcess

_SHUTDOWN_SECONDS = 1.0
"""Seconds until workers that do not exit are killed."""


class SwarmError(KademluaError):
    """The swarm cannot start or continue; the message is one line."""


class Swarm:
    """The nodes of a plan, in worker processes.

    >>> with Swarm(plan, Path("log")) as swarm:
    ...     swarm.wait_joined()
    ...     swarm.wait()
    """

    def __init__(self, plan: Plan, log_dir: Path) -> None:
        self._plan = plan
        self._log_dir = log_dir
        self._greenlets: list[Greenlet[..., None]] = []
        self._changed = Event()
        self._error = ""
        self._is_stopped = False
        self.workers: list[WorkerProcess] = []
        """The worker processes, once started."""
        self.members = Members(plan, self._send_command)
        """The nodes of the workers."""
        self.event_hub = EventHub(self.members, len(plan.worker_ports), self._send_command)
        """The events of the nodes."""

    def start(self) -> None:
        """Start the workers without waiting for their nodes.

        Raises:
            SwarmError: a worker cannot start.
        """
        shares = self._plan.worker_ports
        plan = dataclasses.replace(self._plan, worker_count=len(shares), log_dir=str(self._log_dir))
        for number, ports in enumerate(shares, 1):
            try:
                worker = WorkerProcess(
                    number,
                    dataclasses.replace(plan, first_port=ports.start, node_count=len(ports)),
                )
            except OSError as error:
                if str(error.filename).startswith(str(self._log_dir)):
                    raise SwarmError(unwritable_log_message(error)) from None
                raise SwarmError(f"can't start worker {number}: {error.strerror}") from None
            self.workers.append(worker)
            self.event_hub.on_worker_started(number - 1)
            self._greenlets.append(gevent.spawn(self._follow, worker))

    def __enter__(self) -> Swarm:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def joined_count(self) -> int:
        """Number of nodes that have joined."""
        return sum(worker.joined_count for worker in self.workers)

    def wait_joined(
        self,
        on_progress: Callable[[int], None] = lambda joined: None,
        timeout: float | None = None,
    ) -> bool:
        """Block until all nodes have joined; return False after ``timeout`` seconds without
        progress. ``on_progress`` receives each new number of joined nodes.

        Raises:
            SwarmError: a worker failed or ended.
        """
        while True:
            self._changed.clear()
            self._raise_on_error()
            on_progress(self.joined_count)
            if self.joined_count == self._plan.node_count:
                return True
            if not self._changed.wait(timeout):
                return False

    def wait(self, seconds: float | None = None) -> None:
        """Block for ``seconds`` (None: without limit) or until ``stop``.

        Raises:
            SwarmError: a worker failed or ended.
        """
        with gevent.Timeout(seconds, exception=False):  # type: ignore[arg-type]  # False: end silently
            while not self._is_stopped:
                self._changed.clear()
                self._raise_on_error()
                self._changed.wait()

    def stop(self) -> None:
        """Make ``wait`` return; never blocks."""
        self._is_stopped = True
        self._changed.set()

    def close(self) -> None:
        """End all worker processes, and wait for their exit. Idempotent."""
        gevent.killall(self._greenlets)
        self.event_hub.close()
        for worker in self.workers:
            worker.close_input()
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        for worker in self.workers:
            if not worker.wait(deadline - time.monotonic()):
                worker.kill()
        for worker in self.workers:
            worker.wait(_SHUTDOWN_SECONDS)
            worker.close()

    def start_churn(self, median_seconds: float) -> None:
        """Start churn with a median session of ``median_seconds``."""
        self._greenlets.append(gevent.spawn(run_churn, self.members, median_seconds))

    def _send_command(self, worker_index: int, command: WorkerCommand) -> None:
        if worker_index < len(self.workers):
            self.workers[worker_index].send(command)

    def _raise_on_error(self) -> None:
        if self._error:
            raise SwarmError(self._error)

    def _follow(self, worker: WorkerProcess) -> None:
        """Handle one worker's reports until it ends; an end before ``close`` is an error."""
        for report in worker.reports():
            if report.error:
                self._set_error(report.error)
            self.event_hub.on_report(worker.number - 1, report)
            self._changed.set()
        worker.wait(_SHUTDOWN_SECONDS)
        reason = f"{worker} {worker.exit_description}"
        if worker.has_log_output:
            reason += f"; see {worker.log_path}"
        self._set_error(reason)

    def _set_error(self, reason: str) -> None:
        self._error = self._error or reason
        self._changed.set()
