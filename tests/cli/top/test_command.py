"""``kademlua top`` as a process: on a pseudo-terminal, and on pipes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import termios
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Launcher, Process, Terminal

BEGIN, END = r"\x1b\[\?1049h\x1b\[H\x1b\[\?25l", r"\x1b\[\?25h\x1b\[\?1049l"
TITLES = "RPC .*served/s.*p50"
ARGS = ("top", "--control", "sock")


@pytest.fixture
def daemon(launch: Launcher) -> Process:
    """A node in memory with a control socket."""
    return launch.node("--memory", "--control", "sock")[0]


def resize(terminal: Terminal, columns: int, lines: int) -> None:
    fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def test_view_redraws_in_place_and_restores_terminal(launch: Launcher, daemon: Process) -> None:
    terminal = launch.terminal(*ARGS, "--interval", "0.2")
    former = termios.tcgetattr(terminal.slave)
    terminal.out.expect(BEGIN)
    assert not terminal.has_echo()
    for _ in range(3):
        terminal.out.expect(r"\x1b\[1;1H\x1b\[1m127.0.0.1:\d+ .* up 0:00:\d\d")
        terminal.out.expect(TITLES)
    terminal.type("x")  # says nothing
    terminal.out.expect(TITLES)
    terminal.type("q")
    terminal.out.expect(END)
    assert terminal.wait() == 0
    assert termios.tcgetattr(terminal.slave) == former


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_top_and_restores_terminal(
    launch: Launcher, daemon: Process, number: signal.Signals, status: int
) -> None:
    terminal = launch.terminal(*ARGS)
    terminal.out.expect(TITLES)
    if number == signal.SIGINT:
        terminal.type("\x03")
    else:
        os.kill(terminal.popen.pid, number)
    terminal.out.expect(END)
    assert terminal.wait() == status
    assert terminal.has_echo()
    assert "Traceback" not in terminal.out.text


def test_resize_redraws_immediately(launch: Launcher, daemon: Process) -> None:
    launch.env |= {"COLUMNS": "80", "LINES": "24"}  # some shells export those at their start
    terminal = launch.terminal(*ARGS, "--interval", "1000")
    terminal.out.expect(TITLES)
    resize(terminal, 30, 3)
    terminal.out.expect(r"\x1b\[3;1H… \d+ more lines")
    resize(terminal, 10, 1)
    terminal.out.expect(r"\x1b\[1;1H\x1b\[1m127.0.0.1:\S*\x1b\[0m")
    terminal.type("q")
    terminal.out.expect(END)
    assert terminal.wait() == 0


def test_suspension_restores_terminal_and_continues(launch: Launcher, daemon: Process) -> None:
    terminal = launch.terminal(*ARGS, "--interval", "1000")
    terminal.out.expect(TITLES)
    terminal.type("\x1a")  # the system does not stop a process without a job-control shell
    terminal.out.expect(END)
    terminal.out.expect(BEGIN)
    terminal.out.expect(TITLES)
    terminal.type("q")
    assert terminal.wait() == 0
    assert terminal.has_echo()


def test_no_color_leaves_text_without_styles(launch: Launcher, daemon: Process) -> None:
    launch.env["NO_COLOR"] = "1"
    terminal = launch.terminal(*ARGS, "--count", "2", "--interval", "0.1")
    terminal.out.expect(TITLES)
    terminal.out.expect(END)
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.out.text)


def test_node_exit_ends_top_with_one_line(launch: Launcher, daemon: Process) -> None:
    terminal = launch.terminal(*ARGS, "--interval", "0.2")
    terminal.out.expect(TITLES)
    daemon.popen.kill()
    terminal.out.expect(END + r"Error: the node has ended\n\Z")
    assert terminal.wait() == 1
    assert terminal.has_echo()


def test_pipe_and_dumb_terminal_get_one_plain_view(launch: Launcher, daemon: Process) -> None:
    done = launch.run(*ARGS, "--interval", "0.1")
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert "\x1b" not in text
    assert text.startswith("127.0.0.1:")
    assert text.count("RPC  ") == 1
    launch.env["TERM"] = "dumb"
    terminal = launch.terminal(*ARGS, "--interval", "0.1")
    assert terminal.wait() == 0
    terminal.out.expect(TITLES)
    assert "\x1b" not in terminal.out.text


def test_json_continues_until_interrupted(launch: Launcher, daemon: Process) -> None:
    process = launch.start(*ARGS, "--json", "--interval", "0.1")
    times = []
    for _ in range(3):
        told: dict[str, Any] = json.loads(process.out.expect(r"^\{.*\}\n")[0])
        times.append(told["seconds"])
    assert times == sorted(set(times))
    assert told["node"]["process"] == daemon.popen.pid
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert process.err.read_rest() == ""
    done = launch.run(*ARGS, "--json", "--interval", "0.1", "--count", "2")
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 2)


def test_invalid_use_is_reported(launch: Launcher, failed: Callable[..., str]) -> None:
    assert "no node runs at" in failed(launch.run(*ARGS), 1)
    assert "0.1<=x<=3600" in failed(launch.run(*ARGS, "--interval", "0"), 2)
    assert "--count" in failed(launch.run(*ARGS, "--count", "0"), 2)
