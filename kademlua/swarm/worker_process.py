"""A worker as its launcher sees it: a process, a pipe to it, a pipe from it."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
from gevent.fileobject import FileObjectPosix

import kademlua
from kademlua.swarm.plan import WorkerCommand, WorkerConfig, WorkerReport

_POLL_SECONDS = 0.01


class WorkerProcess:
    """One worker process, started."""

    def __init__(self, number: int, config: WorkerConfig) -> None:
        """Start it; OSError where that fails. ``number`` counts from 1 and names it."""
        self.number = number
        self.config = config
        self.joined_count = 0
        """How many of its nodes have joined, as last reported."""
        self.log_path = Path(config.log_dir) / f"worker-{number}.log"
        """What belongs to no single node, and the traceback where it breaks."""
        with open(self.log_path, "wb") as log:
            # Not gevent's Popen, which watches SIGCHLD in the hub: the pipe's end tells us
            # as much. ^C is the launcher's alone, from before the worker's first line on.
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "kademlua.swarm.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                preexec_fn=_ignore_interrupts,
            )
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already: reports() ends
            self._popen.stdin.write(config.to_line())
            self._popen.stdin.flush()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    def reports(self) -> Iterator[WorkerReport]:
        """What it tells, as it comes, until it ends; blocks this greenlet only."""
        assert self._popen.stdout is not None
        with FileObjectPosix(self._popen.stdout.fileno(), "rb", close=False) as output_file:
            for line in output_file:
                report = WorkerReport.from_line(line)
                self.joined_count = max(self.joined_count, report.joined_count)
                yield report

    def send(self, command: WorkerCommand) -> None:
        """Send it a command; one that has ended hears nothing."""
        assert self._popen.stdin is not None
        if not self._popen.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(command.to_line())
                self._popen.stdin.flush()

    def close_input(self) -> None:
        """Close its input, upon which it ends."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()

    def kill(self) -> None:
        """End it now, as kill -9 does."""
        self._popen.kill()

    def wait(self, timeout: float) -> bool:
        """Block this greenlet until the process is gone; whether it is."""
        deadline = time.monotonic() + timeout
        while self._popen.poll() is None:
            if time.monotonic() >= deadline:
                return False
            gevent.sleep(_POLL_SECONDS)
        return True

    def close(self) -> None:
        """Free the pipes; when it has ended."""
        self.close_input()
        assert self._popen.stdout is not None
        self._popen.stdout.close()

    @property
    def has_log_output(self) -> bool:
        """Whether there is anything in its log."""
        try:
            return self.log_path.stat().st_size > 0
        except OSError:
            return False

    @property
    def exit_description(self) -> str:
        """How it ended, in words."""
        code = self._popen.returncode
        if code is not None and code < 0:
            try:
                return f"was ended by {signal.Signals(-code).name}"
            except ValueError:
                return f"was ended by signal {-code}"
        return f"ended with status {code}"

    def __str__(self) -> str:
        first, last = self.config.first_port, self.config.first_port + self.config.node_count - 1
        return f"worker {self.number} (process {self.pid}, ports {first} to {last})"


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _environment() -> dict[str, str]:
    """This process's environment, in which a worker finds the same kademlua as we have.

    With -P a worker does not look into its working directory, from where ours may come.
    """
    environment = dict(os.environ)
    # What logs.py lives on; on by default.
    environment["GEVENT_TRACK_GREENLET_TREE"] = "true"
    root = str(Path(kademlua.__file__).resolve().parent.parent)
    paths = sysconfig.get_paths()
    installed = {paths["purelib"], paths["platlib"], *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        installed.add(site.getusersitepackages())
    if root not in {os.path.realpath(path) for path in installed}:
        previous = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{previous}" if previous else root
    return environment
