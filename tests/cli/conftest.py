"""Fixtures: the command line as processes with pipes or on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import ROOT

TIMEOUT = 40.0


def free_port() -> int:
    """Return a port that is probably free, so that nothing answers there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Output:
    """The output of a process, which is read while a test waits for a pattern."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0
        self.text = ""

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for the next match after the previous one, and return it."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            match = re.compile(pattern, re.MULTILINE).search(self.text, self._position)
            if match is not None:
                self._position = match.end()
                return match
            if not self._read(deadline):
                raise AssertionError(f"no {pattern!r} in {self.text[self._position :]!r}")

    def read_rest(self) -> str:
        """Wait for the end, and return the text after the last match."""
        deadline = time.monotonic() + TIMEOUT
        while self._read(deadline):
            pass
        return self.text[self._position :]

    def read_to(self, mark: str) -> None:
        """Wait until the text ends with ``mark``."""
        deadline = time.monotonic() + TIMEOUT
        while not self.text.endswith(mark):
            assert self._read(deadline), f"no {mark!r} at the end of {self.text!r}"

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise AssertionError(f"no more output after {self.text!r}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the end of a pseudo-terminal
            data = b""
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


class Process:
    """A process with pipes, and its output."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.out = Output(popen.stdout.fileno())
        self.err = Output(popen.stderr.fileno())

    def type(self, text: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(text.encode())
        self.popen.stdin.flush()

    def end_input(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def wait(self) -> int:
        return self.popen.wait(TIMEOUT)


class Terminal:
    """A process on its own pseudo-terminal."""

    def __init__(self, args: list[str], env: dict[str, str], cwd: Path) -> None:
        self.fd, slave = pty.openpty()
        self.slave = slave
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "kademlua", *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        self.out = Output(self.fd)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self) -> int:
        """Wait for the end of the process, and read all of its output."""
        status = self.popen.wait(TIMEOUT)
        os.write(self.slave, b"\0")
        self.out.read_to("\0")
        return status

    def has_echo(self) -> bool:
        """Return whether the terminal is in its normal mode, not in that of a line editor."""
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)


class Launcher:
    """Starts processes of the command line; the fixture ends them after the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        homes = ("XDG_STATE_HOME", "XDG_DATA_HOME")
        self.env = {key: value for key, value in os.environ.items() if key not in homes}
        self.env |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8"}
        self._processes: list[Process] = []
        self._terminals: list[Terminal] = []

    def become(self, name: str) -> None:
        """Run further commands as another user, with a home directory of its own."""
        self.env["HOME"] = str(self.home / name)

    def run(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return self._run(["-m", "kademlua", *args], stdin)

    def python(
        self, code: str, *args: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program that changes something and calls the command line."""
        return self._run(["-c", code, *args], stdin)

    def _run(self, args: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, *args],
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT,
            env=self.env,
            cwd=self.home,
            start_new_session=True,  # without the terminal of the tests, if there is one
        )

    def start(self, *args: str) -> Process:
        """Start a command with pipes."""
        popen = subprocess.Popen(
            [sys.executable, "-m", "kademlua", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            cwd=self.home,
        )
        process = Process(popen)
        self._processes.append(process)
        return process

    def terminal(self, *args: str) -> Terminal:
        """Start a command on a pseudo-terminal."""
        terminal = Terminal(list(args), self.env, self.home)
        self._terminals.append(terminal)
        return terminal

    def node(self, *args: str) -> tuple[Process, str]:
        """Start a node on a free port, by default without bootstrap; return it and its address."""
        if "--bootstrap" not in args:
            args = (*args, "--no-bootstrap")
        process = self.start("node", "0", "--no-shell", *args)
        return process, process.out.expect(r"listening on (\S+:\d+)\n")[1]

    def close(self) -> None:
        for each in [*self._processes, *self._terminals]:
            each.popen.kill()
            each.popen.wait()
        for process in self._processes:
            for stream in (process.popen.stdin, process.popen.stdout, process.popen.stderr):
                assert stream is not None
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        for terminal in self._terminals:
            os.close(terminal.fd)
            os.close(terminal.slave)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


@pytest.fixture
def failed() -> Callable[[subprocess.CompletedProcess[bytes], int], str]:
    """Check that a command failed with one line on standard error, and return the line."""

    def check(done: subprocess.CompletedProcess[bytes], status: int) -> str:
        error = done.stderr.decode()
        assert done.returncode == status, error
        assert done.stdout == b""
        assert error.startswith("Error: ")
        assert error.endswith("\n")
        assert error.count("\n") == 1
        return error

    return check
