"""Completion of commands and options by bash, zsh and fish."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Launcher

PROGRAM = "from kademlua.cli import main; main(prog_name='kademlua')"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("kademlua sim", "simulate"), ("kademlua node --log-f", "--log-file")],
)
def test_names_are_completed(launch: Launcher, words: str, wanted: str) -> None:
    launch.env |= {
        "_KADEMLUA_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = launch.python(PROGRAM)
    assert f"plain,{wanted}" in done.stdout.decode().splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_exists(launch: Launcher, shell: str) -> None:
    launch.env["_KADEMLUA_COMPLETE"] = f"{shell}_source"
    done = launch.python(PROGRAM)
    assert "_KADEMLUA_COMPLETE" in done.stdout.decode()
