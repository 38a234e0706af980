"""Text and trees that rich prints."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from kademlua.terminal.console import make_console, print_tree, safe_text
from tests.support.programs import ROOT

CHILDREN = {"a": ["b", "c"], "b": ["d"]}


def test_tree_has_a_branch_per_item(capsys: pytest.CaptureFixture[str]) -> None:
    print_tree("title", ["a", "e"], lambda item: CHILDREN.get(item, []), lambda item: item * 2)
    assert capsys.readouterr().out.splitlines() == [
        "title",
        "├── aa",
        "│   ├── bb",
        "│   │   └── dd",
        "│   └── cc",
        "└── ee",
    ]


def test_markup_emoji_and_control_characters_are_printed_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "[red]:smile:[/red]\x1b[2J\r\n"
    print_tree(hostile, [hostile], lambda item: [], lambda item: item)
    make_console().print(safe_text(hostile))
    shown = r"[red]:smile:[/red]\x1b[2J\r\n"
    assert capsys.readouterr().out.splitlines() == [shown, f"└── {shown}", shown]


def test_lines_are_not_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    line = "word " * 100 + "end"
    print_tree("title", [line], lambda item: [], lambda item: item)
    assert capsys.readouterr().out == f"title\n└── {line}\n"


def test_lines_are_wrapped_below_their_branch_on_a_terminal() -> None:
    code = """if True:
        from kademlua.terminal.console import print_tree
        print_tree("title", ["one two three", "four"], lambda item: [], lambda item: item)
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 12, 0, 0))
    env = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "LANG": "C.UTF-8"}
    subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=env,
        check=True,
    )
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines == ["title", "├── one two", "│   three", "└── four"]
