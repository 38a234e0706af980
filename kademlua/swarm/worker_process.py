"""The launcher's handle of a worker process."""

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
    """A started worker process, with a pipe in each direction."""

    def __init__(self, number: int, config: WorkerConfig) -> None:
        """Start the process; ``number`` counts from 1.

        Raises:
            OSError: the process or its log cannot be created.
        """
        self.number = number
        self.config = config
        self.joined_count = 0
        """Number of nodes that have joined, as last reported."""
        self.log_path = Path(config.log_dir) / f"worker-{number}.log"
        """Log of records without a node, and of a crash's traceback."""
        with open(self.log_path, "wb") as log:
            # Not gevent's Popen, which watches SIGCHLD in the hub: the end of the pipe suffices.
            # preexec_fn ignores ^C before the worker's first line runs.
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "kademlua.swarm.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                preexec_fn=_ignore_interrupts,
            )
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has exited: reports() ends
            self._popen.stdin.write(config.to_line())
            self._popen.stdin.flush()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def reports(self) -> Iterator[WorkerReport]:
        """Yield reports until the process ends; blocks only this greenlet."""
        assert self._popen.stdout is not None
        with FileObjectPosix(self._popen.stdout.fileno(), "rb", close=False) as output_file:
            for line in output_file:
                report = WorkerReport.from_line(line)
                self.joined_count = max(self.joined_count, report.joined_count)
                yield report

    def send(self, command: WorkerCommand) -> None:
        """Send a command, unless the process has ended."""
        assert self._popen.stdin is not None
        if not self._popen.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.write(command.to_line())
                self._popen.stdin.flush()

    def close_input(self) -> None:
        """Close the input, which makes the process exit."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._popen.kill()

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the exit; return whether the process has exited."""
        deadline = time.monotonic() + timeout
        while self._popen.poll() is None:
            if time.monotonic() >= deadline:
                return False
            gevent.sleep(_POLL_SECONDS)
        return True

    def close(self) -> None:
        """Close the pipes, after the exit."""
        self.close_input()
        assert self._popen.stdout is not None
        self._popen.stdout.close()

    @property
    def has_log_output(self) -> bool:
        """True if the log is not empty."""
        try:
            return self.log_path.stat().st_size > 0
        except OSError:
            return False

    @property
    def exit_description(self) -> str:
        """The exit status in words."""
        code = self._popen.returncode
        if code is not None and code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with status {code}"

    def __str__(self) -> str:
        first, last = self.config.first_port, self.config.first_port + self.config.node_count - 1
        return f"worker {self.number} (process {self.pid}, ports {first} to {last})"


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _environment() -> dict[str, str]:
    """Return an environment in which a worker imports this kademlua package.

    With -P, Python ignores the working directory, which may contain this package.
    """
    environment = dict(os.environ)
    # logs.py needs it; gevent sets it by default.
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
