"""Signals end the commands that run a network in their own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import Launcher


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize(
    ("command", "progress"),
    [
        (["simulate", "churn-hour", "--nodes", "60"], r"[1-9][0-9]* of [0-9,]+ virtual seconds"),
        (["bench", "--nodes", "20", "--operations", "100000"], r"add: \d+ of 100000"),
    ],
)
def test_signal_ends_a_run_quietly(
    launch: Launcher, command: list[str], progress: str, number: signal.Signals, status: int
) -> None:
    terminal = launch.terminal(*command)
    terminal.out.expect(progress)
    if number == signal.SIGINT:
        terminal.type("\x03")
    else:
        os.kill(terminal.popen.pid, number)
    assert terminal.wait() == status
    assert "Traceback" not in terminal.out.text
    assert terminal.has_echo()


def test_interrupt_while_the_command_is_imported_shows_no_traceback() -> None:
    """The interrupt comes from the program itself, when it imports the commands."""
    program = (
        "import os, runpy, signal, sys\n"
        "class Interrupt:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'kademlua.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Interrupt)\n"
        "runpy.run_module('kademlua', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == b""
