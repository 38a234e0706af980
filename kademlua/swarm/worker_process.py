"""The launcher's handle of a worker process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
from gevent.fileobject import FileObjectPosix

from kademlua.swarm.plan import Plan, WorkerCommand, WorkerReport, encode_line

_POLL_SECONDS = 0.01


class WorkerProcess:
    """A started worker process, with a pipe in each direction."""

    def __init__(self, number: int, plan: Plan) -> None:
        """Start the process for the nodes of ``plan``; ``number`` counts from 1.

        Raises:
            OSError: the process or its log cannot be created.
        """
        self.number = number
        self.joined_count = 0
        """Number of nodes that have joined, as last reported."""
        self.log_path = Path(plan.log_dir) / f"worker-{number}.log"
        """Log of records without a node, and of a crash's traceback."""
        self._ports = plan.ports
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
        assert self._popen.stdout is not None
        self._input, self._output = self._popen.stdin, self._popen.stdout
        self.send(plan)

    def reports(self) -> Iterator[WorkerReport]:
        """Yield reports until the process ends; blocks only this greenlet."""
        with FileObjectPosix(self._output.fileno(), "rb", close=False) as output_file:
            for line in output_file:
                report = WorkerReport.from_line(line)
                self.joined_count = max(self.joined_count, report.joined_count)
                yield report

    def send(self, message: Plan | WorkerCommand) -> None:
        """Send a message, unless the process has ended."""
        if not self._input.closed:
            with contextlib.suppress(BrokenPipeError):
                self._input.write(encode_line(message))
                self._input.flush()

    def close_input(self) -> None:
        """Close the input, which makes the process exit."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()

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
        self._output.close()

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
        first, last = self._ports[0], self._ports[-1]
        return f"worker {self.number} (process {self._popen.pid}, ports {first} to {last})"


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _environment() -> dict[str, str]:
    """Return an environment in which a worker imports what this process imports.

    With -P, Python ignores the working directory, which may contain this package.
    """
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "GEVENT_TRACK_GREENLET_TREE": "true",  # logs.py needs it; gevent sets it by default
    }
