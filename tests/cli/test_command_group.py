from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import kademlua
from kademlua.build import describe_build
from kademlua.cli import main
from kademlua.cli.command_group import CommandGroup
from kademlua.core.errors import StoreFailed

COMMANDS = ["node", "swarm", "add", "find", "lookup", "ping", "bench"]


def test_help_lists_commands_and_shows_examples():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output
    assert "kademlua node 8001" in result.output


@pytest.mark.parametrize(
    "command",
    [
        *("node", "set", "get", "delete", "add", "find", "remove", "lookup", "ping"),
        *("status", "peers", "stop", "help", "keygen", "record put", "record get"),
    ],
)
def test_help_of_each_command_has_examples(command):
    result = CliRunner().invoke(main, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"kademlua {command} " in result.output


def test_version():
    result = CliRunner().invoke(main, ["--version"])
    expected = f"kademlua {kademlua.__version__} ({describe_build()})\n"
    assert (result.exit_code, result.output) == (0, expected)


def test_no_arguments_show_help():
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_node_listens_on_port_8001_by_default():
    command = main.get_command(click.Context(main), "node")
    assert command is not None
    assert command.make_context("node", []).params["port"] == 8001


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nosuch"], "nosuch"),
        (["swarm", "many"], "'many' is not a whole number"),
        (["set", "key", "two", "words"], "put a value with spaces into quotes"),
        (["--nosuch"], "--nosuch"),
        (["node", "65536"], "65536"),
        (["node", "-1"], "-1"),
        (["node", "x"], "x"),
        (["node", "8001", "8002"], "8002"),
        (["node", "0", "--id", "abc"], "40 hex digits"),
        (["node", "0", "--bootstrap", "8001"], "HOST:PORT"),
        (["node", "0", "--bootstrap", "::1:8001"], "[ADDR]:PORT"),
        (["node", "0", "--bootstrap", "h:1", "--no-bootstrap"], "exclude"),
        (["node", "0", "--log-level", "loud"], "loud"),
        (["add", "key"], "VALUE"),
        (["set", "key", "-5"], "write -- before"),
        (["record"], "Missing command"),
        (["object"], "Missing command"),
        (["add", "--hex", "key", "value"], "40 hex digits"),
        (["find"], "KEY"),
        (["find", "key", "--answers", "0"], "answers"),
        (["find", "key", "--answers", "1", "--all"], "exclude"),
        (["find", "key", "--raw", "--json"], "exclude"),
        (["record", "put", "v", "--salt", "s"], "--sign FILE"),
        (["record", "put", "v", "--expires", "1h"], "--sign FILE"),
        (["record", "get", "0" * 41], "40 hex digits"),
        (["record", "get", "x" * 64], "40 hex digits"),
        (["record", "get", "0" * 40, "--salt", "s"], "public key"),
        (["record", "get", "0" * 64, "--raw", "--json"], "exclude"),
        (["lookup", "--hex", "0" * 39], "40 hex digits"),
        (["lookup", "key", "--via", "127.0.0.1:0"], "1 to 65535"),
        (["ping", "8001"], "HOST:PORT"),
        (["ping", "::1"], "[ADDR]:PORT"),
        (["set", "key"], "VALUE"),
        (["set", "key", "v", "--file", "f"], "exclude"),
        (["get", "one", "two", "--raw"], "one KEY"),
        (["get", "key", "--raw", "--json"], "exclude"),
        (["delete"], "KEY"),
        (["record", "nosuch"], "nosuch"),
        (["help", "nosuch"], "nosuch"),
        (["help", "set", "x"], "no commands"),
        (["ping", "127.0.0.1:99999"], "99999"),
    ],
)
def test_usage_error_is_one_line_with_status_2(args, word):
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert word in result.output
    assert result.output.endswith("--help'.\n")
    assert ". Try '" in result.output


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("fidn", "find"),
        ("put", "record put or object put"),
        ("del", "delete"),
        ("statsu", "status"),
    ],
)
def test_unknown_command_suggests_a_similar_one(name, suggestion):
    result = CliRunner().invoke(main, [name], prog_name="kademlua")
    assert result.exit_code == 2
    expected = f"No such command '{name}'. Did you mean {suggestion}? Try 'kademlua --help'.\n"
    assert result.output == f"Error: {expected}"


@pytest.mark.parametrize("words", [[], ["set"], ["record"], ["record", "put"]])
def test_help_shows_what_the_option_shows(words):
    asked = CliRunner().invoke(main, ["help", *words], prog_name="kademlua")
    shown = CliRunner().invoke(main, [*words, "--help"], prog_name="kademlua")
    assert (asked.exit_code, asked.output) == (0, shown.output)


def test_options_of_nested_commands_have_environment_variables(monkeypatch):
    monkeypatch.setenv("KADEMLUA_RECORD_PUT_SALT", "salt")
    result = CliRunner().invoke(main, ["record", "put", "value"])
    assert (result.exit_code, "--salt" in result.output) == (2, True)


def group_that_raises(error: BaseException) -> CommandGroup:
    @click.group(cls=CommandGroup, modules=[])
    def group() -> None:
        raise error

    group.params = []
    group.invoke_without_command = True
    group.no_args_is_help = False
    return group


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StoreFailed("no node took it:\n\x1b[2J"), "Error: no node took it: \\x1b[2J\n"),
        (FileNotFoundError(2, "No such file", "x.toml"), "Error: x.toml: No such file\n"),
        (click.ClickException("it is so"), "Error: it is so\n"),
    ],
)
def test_errors_are_one_printable_line_and_status_1(error, line):
    result = CliRunner().invoke(group_that_raises(error), [])
    assert (result.exit_code, result.output) == (1, line)


def test_unexpected_exception_shows_traceback():
    result = CliRunner().invoke(group_that_raises(ZeroDivisionError()), [])
    assert isinstance(result.exception, ZeroDivisionError)


def test_command_imports_only_its_own_modules():
    script = """if True:
        import sys
        from click.testing import CliRunner
        from kademlua.cli import main
        assert CliRunner().invoke(main, ["ping", "--help"]).exit_code == 0
        assert "kademlua.cli.client_commands" in sys.modules
        loaded = [name for name in sys.modules if name.startswith("kademlua.")]
        assert not [name for name in loaded if "swarm" in name or "bench" in name], loaded
    """
    subprocess.run([sys.executable, "-c", script], check=True)


def test_help_does_not_import_rich():
    script = """if True:
        import sys
        from click.testing import CliRunner
        from kademlua.cli import main
        assert CliRunner().invoke(main, ["--help"]).exit_code == 0
        assert "kademlua.cli.top.command" in sys.modules
        assert "rich" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", script], check=True)


def test_module_shows_the_name_of_the_command(launch):
    done = launch.run("ping", "--help")
    assert done.stdout.startswith(b"Usage: kademlua ping ")


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(launch, redirection):
    _, address = launch.node()
    command = f"exec {sys.executable} -m kademlua add key - --via {address} {redirection}"
    done = subprocess.run(
        ["sh", "-c", command], env=launch.env, cwd=launch.home, timeout=40, input=b"x"
    )
    assert done.returncode == 0
    found = launch.run("find", "key", "--via", address)
    assert found.stdout == (b"\n" if "<" in redirection else b"x\n")
