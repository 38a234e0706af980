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
from kademlua.swarm.churn import churn
from kademlua.swarm.event_hub import Watch
from kademlua.swarm.members import Members
from kademlua.swarm.plan import Command, Order, Plan
from kademlua.swarm.worker_process import WorkerProcess

_PATIENCE = 1.0
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
        self._watchers: list[Greenlet[..., None]] = []
        self._changed = Event()
        self._error = ""
        self._stopped = False
        self.workers: list[WorkerProcess] = []
        """The worker processes, once started."""
        self.members = Members(plan, self._tell)
        """Their nodes."""
        self.watch = Watch(self.members, len(plan.shares), self._tell)
        """For those who want to know what happens among them."""

    def start(self) -> None:
        """Start the workers; returns at once. SwarmError where that fails."""
        plan = self._plan
        for number, share in enumerate(plan.shares, 1):
            order = Order(
                host=plan.host,
                first_port=share.start,
                count=len(share),
                bootstrap=plan.bootstrap,
                log_dir=str(self._log_dir),
                network_keys=plan.network_keys,
                data_dir=plan.data_dir,
            )
            try:
                worker = WorkerProcess(number, order)
            except OSError as error:
                raise SwarmError(f"can't start worker {number}: {error}") from None
            self.workers.append(worker)
            self.watch.worker_began(number - 1)
            self._watchers.append(gevent.spawn(self._watch, worker))

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
    def joined(self) -> int:
        """How many nodes have joined."""
        return sum(worker.joined for worker in self.workers)

    def wait_joined(
        self,
        progress: Callable[[int], None] = lambda joined: None,
        timeout: float | None = None,
    ) -> bool:
        """Block until all nodes have joined; False where ``timeout`` seconds brought no
        further one. Raises SwarmError where a worker fails or ends.

        ``progress`` is told of each new number of joined nodes.
        """
        while True:
            self._changed.clear()
            self._check()
            progress(self.joined)
            if self.joined == self._plan.count:
                return True
            if not self._changed.wait(timeout):
                return False

    def wait(self, seconds: float | None = None) -> None:
        """Block for so many seconds, or for good, or until ``stop``; SwarmError as soon as a
        worker ends."""
        end = time.monotonic() + (math.inf if seconds is None else seconds)
        while not self._stopped:
            self._changed.clear()
            self._check()
            left = end - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(None if left == math.inf else left)

    def stop(self) -> None:
        """Let whoever is in ``wait`` go on; never blocks."""
        self._stopped = True
        self._changed.set()

    def close(self) -> None:
        """End all workers; returns when none of their processes is left. Idempotent."""
        gevent.killall(self._watchers)
        self.watch.close()
        for worker in self.workers:
            worker.ask_to_end()
        end = time.monotonic() + _PATIENCE
        for worker in self.workers:
            if not worker.wait(end - time.monotonic()):
                worker.kill()
        for worker in self.workers:
            worker.wait(_PATIENCE)
            worker.close()

    def churn(self, median: float) -> None:
        """From now on let nodes die and others come; half of their sessions last longer than
        ``median`` seconds."""
        self._watchers.append(gevent.spawn(churn, self.members, median))

    def _tell(self, worker: int, command: Command) -> None:
        if worker < len(self.workers):
            self.workers[worker].tell(command)

    def _check(self) -> None:
        if self._error:
            raise SwarmError(self._error)

    def _watch(self, worker: WorkerProcess) -> None:
        """Follow one worker to its end, which is a failure: only ``close`` ends one well."""
        for report in worker.reports():
            if report.error:
                self._fail(report.error)
            self.watch.heard(worker.number - 1, report)
            self._changed.set()
        worker.wait(_PATIENCE)
        why = f"{worker} {worker.end}"
        if worker.has_complained:
            why += f"; {worker.log} may say why"
        self._fail(why)

    def _fail(self, why: str) -> None:
        self._error = self._error or why
        self._changed.set()
