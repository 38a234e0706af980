"""All messages of the command line: at most two lines, no traceback, and no dead end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import kademlua
from kademlua.cli import main
from kademlua.core import errors

PACKAGE = Path(kademlua.__file__).parent
CONTEXT = click.Context(main, info_name="kademlua")
COMMANDS = main.list_commands(CONTEXT)
RAISED = {name for name, each in vars(errors).items() if isinstance(each, type)} | {
    *("BadParameter", "BadRequest", "ClickException", "ControlError", "NodeUnavailable"),
    *("PlanError", "PlotError", "RequestFailed", "ScenarioError", "SwarmError", "UntrustedSocket"),
    *("UsageError", "TypeError", "ValueError"),
}
"""The exceptions whose text reaches a user."""


def text_of(node: ast.expr) -> str:
    """The text of a literal, with ``…`` in place of inserted values."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(each) for each in values)
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
    return "…"


def messages() -> Iterator[tuple[str, str]]:
    """The place and text of each message in the sources."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            is_shown = name in RAISED or name in ("announce", "say")
            is_logged = name in ("warning", "error", "critical")
            text = text_of(node.args[0])
            if (is_shown or is_logged) and text.strip("…"):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text


def test_messages_of_the_sources_are_short_and_lead_somewhere() -> None:
    found = dict(messages())
    assert len(found) > 200
    for place, text in found.items():
        assert text.count("\n") <= 1, place
        assert len(text) <= 300, place
        assert "Traceback" not in text, place
        # No index has the project: a name in brackets leads nowhere.
        assert not re.search(r"pip install \S*kademlua", text), place


def test_messages_name_only_commands_and_options_that_exist() -> None:
    commands = [main.get_command(CONTEXT, name) for name in COMMANDS]
    commands += [each for group in commands for each in getattr(group, "commands", {}).values()]
    options = {
        opt
        for command in commands
        for param in command.params
        for opt in (*param.opts, *param.secondary_opts)
    } | {"--help", "--version", "--python"}
    for place, text in messages():
        if not place.startswith(("cli/", "swarm/")):
            continue
        for command in re.findall(r"(?:run|file of|Try) [\"']kademlua ([a-z-]+)", text):
            assert command in COMMANDS, place
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert option in options, (place, option)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("args", [["--no-such-option"], ["\0", "x", "y", "z", "--ttl", "abc"]])
def test_wrong_arguments_give_a_short_usage_error(command: str, args: list[str]) -> None:
    result = CliRunner().invoke(main, [command, *args])
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    assert result.output.count("\n") <= 2
    assert result.output.startswith("Error: ")
    assert isinstance(result.exception, SystemExit)
