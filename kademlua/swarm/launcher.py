"""Swarm: starts the workers, watches them, ends them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.errors import KademluaError
from kademlua.swarm.churn import run_churn
from kademlua.swarm.event_hub import EventHub
from kademlua.swarm.members import Members
from kademlua.swarm.plan import Plan, WorkerCommand, WorkerConfig
from kademlua.swarm.worker_process import WorkerProcess

_SHUTDOWN_SECONDS = 1.0
"""Seconds that workers have to end by themselves."""


class SwarmError(KademluaError):
    """The swarm can't begin, or not go on; the message is one line."""


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
        """Their nodes."""
        self.event_hub = EventHub(self.members, len(plan.worker_ports), self._send_command)
        """For those who want to know what happens among them."""

    def start(self) -> None:
        """Start the workers; returns at once. SwarmError where that fails."""
        plan = self._plan
        for number, ports in enumerate(plan.worker_ports, 1):
            config = WorkerConfig(
                host=plan.host,
                first_port=ports.start,
                node_count=len(ports),
                bootstrap=plan.bootstrap,
                log_dir=str(self._log_dir),
                network_keys=plan.network_keys,
                data_dir=plan.data_dir,
            )
            try:
                worker = WorkerProcess(number, config)
            except OSError as error:
                raise SwarmError(f"can't start worker {number}: {error}") from None
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
        """How many nodes have joined."""
        return sum(worker.joined_count for worker in self.workers)

    def wait_joined(
        self,
        on_progress: Callable[[int], None] = lambda joined: None,
        timeout: float | None = None,
    ) -> bool:
        """Block until all nodes have joined; False where ``timeout`` seconds brought no
        further one. Raises SwarmError where a worker fails or ends.

        ``on_progress`` is told of each new number of joined nodes.
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
        """Block for so many seconds, or for good, or until ``stop``; SwarmError as soon as a
        worker ends."""
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        while not self._is_stopped:
            self._changed.clear()
            self._raise_on_error()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            self._changed.wait(None if remaining == math.inf else remaining)

    def stop(self) -> None:
        """Let whoever is in ``wait`` go on; never blocks."""
        self._is_stopped = True
        self._changed.set()

    def close(self) -> None:
        """End all workers; returns when none of their processes is left. Idempotent."""
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
        """From now on let nodes die and others come; half of their sessions last longer than
        ``median_seconds`` seconds."""
        self._greenlets.append(gevent.spawn(run_churn, self.members, median_seconds))

    def _send_command(self, worker_index: int, command: WorkerCommand) -> None:
        if worker_index < len(self.workers):
            self.workers[worker_index].send(command)

    def _raise_on_error(self) -> None:
        if self._error:
            raise SwarmError(self._error)

    def _follow(self, worker: WorkerProcess) -> None:
        """Follow one worker to its end, which is a failure: only ``close`` ends one well."""
        for report in worker.reports():
            if report.error:
                self._set_error(report.error)
            self.event_hub.on_report(worker.number - 1, report)
            self._changed.set()
        worker.wait(_SHUTDOWN_SECONDS)
        reason = f"{worker} {worker.exit_description}"
        if worker.has_log_output:
            reason += f"; {worker.log_path} may say why"
        self._set_error(reason)

    def _set_error(self, reason: str) -> None:
        self._error = self._error or reason
        self._changed.set()
