"""Signals end the commands that run a network in their own process."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cli.conftest import Launcher


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize(
    ("command", "progress"),
    [
        (["simulate", "churn-hour"], r"[1-9][0-9]* of [0-9,]+ virtual seconds"),
        (["bench", "--operations", "1000000"], r"add: \d+ of 1000000"),
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
