"""The commands of the tutorial work, in a network namespace of their own."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import ROOT

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
TIMEOUT = 50.0
DONE = "(done)"


def namespace() -> list[str] | None:
    """A command prefix for a network namespace; None if the system has none."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    for command in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if subprocess.run([*command, "ip", "link"], capture_output=True).returncode == 0:
            return command
    return None


class Shell:
    """A shell that runs commands one by one, and its output; its end kills all it started."""

    def __init__(self, prefix: list[str], home: Path) -> None:
        bin_ = home / "bin"
        bin_.mkdir()
        for name, args in (("kademlua", " -m kademlua"), ("python", "")):
            script = bin_ / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable}{args} "$@"\n')
            script.chmod(0o755)
        path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.popen = subprocess.Popen(
            [*prefix, "bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=env,
            start_new_session=True,
        )
        self._text = ""

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exception: object) -> None:
        with self.popen:  # not waited for before, so that its process group still exists
            os.killpg(self.popen.pid, signal.SIGKILL)

    def do(self, command: str, expected: list[str]) -> None:
        """Run a command and check its output, where ``…`` matches anything."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{command}\n".encode())
        is_job = command.endswith("&")
        if not is_job:
            # The status stays what it was: the next command may ask for it.
            self.popen.stdin.write(f"(s=$?; echo '{DONE}'; exit $s)\n".encode())
        self.popen.stdin.flush()
        lines = [".*" if line == "…" else _pattern(line) for line in expected]
        ends = "" if is_job else re.escape(DONE) + "\n"
        wanted = re.compile("".join(f"(?:{line}\n)" for line in lines) + ends, re.S)
        until = time.monotonic() + TIMEOUT
        while (found := wanted.match(_without_logs(self._text))) is None:
            is_over = not is_job and f"{DONE}\n" in self._text
            if is_over or not self._read(until):
                raise AssertionError(f"{command}: {self._text!r} is not {expected}")
        self._text = _without_logs(self._text)[found.end() :]

    def _read(self, until: float) -> bool:
        assert self.popen.stdout is not None
        fd = self.popen.stdout.fileno()
        if not select.select([fd], [], [], max(until - time.monotonic(), 0))[0]:
            return False
        data = os.read(fd, 65_536)
        self._text += data.decode()
        return bool(data)


def _without_logs(text: str) -> str:
    """Remove whole lines that a daemon logged, and those about the node that acts."""
    return re.sub(r"^(\d{4}-\d\d-\d\d|using the node on port) .*\n", "", text, flags=re.M)


def _pattern(line: str) -> str:
    return ".*?".join(map(re.escape, line.split("…")))


def steps() -> Iterator[tuple[str, str]]:
    """The page's blocks that run: their kind and text."""
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S):
        if kind != "sh":  # how to install
            yield kind, text


@pytest.mark.timeout(180)  # it runs the whole page
def test_tutorial_commands_work(tmp_path: Path) -> None:
    prefix = namespace()
    if prefix is None:
        pytest.skip("takes a network namespace, for the ports that it names")
    commands = 0
    with Shell(prefix, tmp_path) as shell:
        shell.do("ip link set lo up", [])
        for kind, text in steps():
            if kind == "python":
                (tmp_path / "hello.py").write_text(text)
                continue
            for step in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, *expected = step.splitlines()
                shell.do(command, expected)
                commands += 1
    assert commands > 8


def test_end_of_the_shell_kills_its_jobs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    with Shell([], tmp_path) as shell:
        shell.do("sleep 600 > held &", [])
        held = (tmp_path / "held").open("rb")  # ends with the last process that writes
    with held:
        assert select.select([held], [], [], TIMEOUT)[0]
        assert held.read() == b""
