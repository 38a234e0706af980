"""Runs swarms as real processes, on ports that were free before."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from kademlua.swarm.resource_limits import is_bindable
from tests.support.programs import ROOT

TIMEOUT = 40.0


def free_ports(count: int) -> int:
    """Return the first of ``count`` consecutive free ports below the ephemeral ports."""
    for _ in range(1_000):
        first = random.randrange(20_000, 32_000 - count)
        if all(is_bindable(("127.0.0.1", port)) for port in range(first, first + count)):
            return first
    raise AssertionError("no free ports")


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds; return False after 40 seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class SwarmProcess:
    """A running ``kademlua swarm``: a control port, and the ports of the nodes after it."""

    def __init__(
        self,
        directory: Path,
        count: int,
        *args: str,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.control_port = free_ports(count + 2)
        self.first_port = self.control_port + 2
        self.log_dir = directory / "log"
        self.env = {k: v for k, v in os.environ.items() if k != "XDG_DATA_HOME"}
        self.env |= {"PYTHONPATH": str(ROOT), "HOME": str(directory)}
        self._stdout_path = directory / "out"
        self._stderr_path = directory / "err"
        options = {
            "--first-port": str(self.first_port),
            "--bootstrap": f"127.0.0.1:{self.control_port}",
            "--log-dir": str(self.log_dir),
        }
        command = [sys.executable, "-P", "-m", "kademlua", "swarm", str(count)]
        command += [*itertools.chain(*options.items()), *args]
        with self._stdout_path.open("wb") as out, self._stderr_path.open("wb") as err:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                cwd=directory,
                env=self.env,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._stdout_path.read_text()

    @property
    def err(self) -> str:
        return self._stderr_path.read_text()

    @property
    def worker_pids(self) -> list[int]:
        pid = self.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def wait_for_output(self, pattern: str) -> bool:
        """Wait until a line of the output matches; return False at the end of the process."""

        def has_matched_or_ended() -> bool:
            text = self.out + self.err
            return bool(re.search(pattern, text, re.MULTILINE)) or self.popen.poll() is not None

        return eventually(has_matched_or_ended) and bool(
            re.search(pattern, self.out + self.err, re.MULTILINE)
        )

    def wait_joined(self) -> bool:
        return self.wait_for_output(r"^\d+ nodes? joined in \d+\.\d s$")

    def wait(self) -> int:
        """Wait for the exit, and return the status."""
        return self.popen.wait(TIMEOUT)

    def command(self, *args: str, stdin: str = "") -> str:
        """Run a command on the swarm's control node, and return its output."""
        words = [sys.executable, "-P", "-m", "kademlua", *args, "--port", str(self.control_port)]
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, env=self.env, timeout=TIMEOUT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill(self) -> None:
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        assert self.popen.stdin is not None
        self.popen.stdin.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., SwarmProcess]]:
    """Launch swarms in the directories ``0``, ``1`` and so on; the end of the test kills them."""
    launched: list[SwarmProcess] = []

    def start(count: int, *args: str, **streams: int | None) -> SwarmProcess:
        directory = tmp_path / str(len(launched))
        directory.mkdir(exist_ok=True)
        launched.append(SwarmProcess(directory, count, *args, **streams))
        return launched[-1]

    yield start
    for each in launched:
        each.kill()


@pytest.fixture
def launch_joined(launch: Callable[..., SwarmProcess]) -> Callable[..., SwarmProcess]:
    """Launch a swarm and wait until it has joined; try again if its ports were taken."""

    def start(count: int, *args: str, stderr: int | None = None) -> SwarmProcess:
        for _ in range(5):
            launched = launch(count, *args, stderr=stderr)
            if launched.wait_joined():
                return launched
            assert "in use" in launched.err or "can't listen" in launched.err, launched.err
        raise AssertionError("the ports were taken five times")

    return start
