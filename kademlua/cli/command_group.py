"""A click group that imports commands lazily and reports errors on one line."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from kademlua.cli.extras import install_hint
from kademlua.cli.output import echo_error
from kademlua.core.errors import CryptoUnavailable, KademluaError

_SYNONYMS = {"del": "delete", "rm": "delete", "unset": "delete", "info": "status", "exit": "stop"}
"""The names of commands in similar programs."""


class CommandGroup(click.Group):
    """A group of the commands that some modules define.

    A command is in the module with its name, or in one whose name ends with ``_commands``. So
    ``kademlua ping`` does not import the swarm's code.
    """

    def __init__(self, *args: Any, modules: Sequence[str], **options: Any) -> None:
        """``modules`` are the full names of the modules, in the order of the help."""
        super().__init__(*args, **options)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [name for module in self._modules for name in _import_commands(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or return None for an unknown name."""
        own = [module for module in self._modules if cmd_name in module.split(".")]
        for module in own or [each for each in self._modules if each.endswith("_commands")]:
            command = _import_commands(module).get(cmd_name)
            if command is not None:
                _set_envvars(command, cmd_name)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` name; for an unknown one, suggest similar names.

        Raises:
            click.UsageError: there is no such command.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            similar = self._similar_names(ctx, name)
            hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def _similar_names(self, ctx: click.Context, name: str) -> list[str]:
        """Return up to three similar names of commands, also of those within a group."""
        paths: dict[str, list[str]] = {}
        for each in self.list_commands(ctx):
            command = self.get_command(ctx, each)
            paths.setdefault(each, []).append(each)
            for nested in command.commands if isinstance(command, click.Group) else ():
                paths.setdefault(nested, []).append(f"{each} {nested}")
        similar = difflib.get_close_matches(_SYNONYMS.get(name, name), paths, n=2)
        return [path for each in similar for path in paths[each]][:3]

    def main(  # type: ignore[override]  # the last overload is all there is of it
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **options: Any
    ) -> Any:
        """Run the command line and exit; print errors on one line."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **options)
        _reopen_closed_stdio()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # for characters that the encoding lacks
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(args, standalone_mode=False, **options)
        except click.UsageError as error:
            _exit_with_error(_usage_message(error), error.exit_code)
        except click.ClickException as error:
            _exit_with_error(error.format_message(), error.exit_code)
        except click.Abort:  # ^C
            os.write(2, b"\n")
            sys.exit(130)
        except CryptoUnavailable:
            _exit_with_error(install_hint("cryptography", "crypto"), 1)
        except KademluaError as error:
            _exit_with_error(str(error), 1)
        except OSError as error:
            _exit_with_error(
                f"{error.filename}: {error.strerror}" if error.filename else str(error), 1
            )
        sys.exit(status if isinstance(status, int) else 0)


def _import_commands(module: str) -> dict[str, click.Command]:
    """Return the commands of a module by name, in the order of their definition."""
    values = vars(importlib.import_module(module)).values()
    commands = [each for each in values if isinstance(each, click.Command)]
    groups = [each for each in commands if isinstance(each, click.Group)]
    nested = [each for group in groups for each in group.commands.values()]
    return {str(each.name): each for each in commands if each not in nested}


def _usage_message(error: click.UsageError) -> str:
    """Return an error of the command line as one line, with where to read on."""
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        message = f"{message.removesuffix('.')}: write -- before a value that begins with a dash"
    message = message.replace("is not a valid integer range", "is not a whole number")
    if not error.ctx:
        return message
    if message.startswith("Got unexpected") and "VALUE" in error.ctx.command.get_usage(error.ctx):
        message = f"{message.removesuffix('.')}: put a value with spaces into quotes"
    ended = message if message.endswith("?") else f"{message.removesuffix('.')}."
    return f"{ended} Try '{error.ctx.command_path} --help'."


def _set_envvars(command: click.Command, name: str) -> None:
    """Name an environment variable for each option: ``KADEMLUA_NODE_LOG_FILE`` sets
    ``--log-file`` of ``kademlua node``."""
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _set_envvars(each, f"{name}_{each.name}")
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            long = next((each for each in option.opts if each.startswith("--")), None)
            if long is not None:
                words = f"KADEMLUA_{name}_{long.removeprefix('--')}"
                option.envvar = words.replace("-", "_").upper()


def _reopen_closed_stdio() -> None:
    """Open the null device for standard streams closed by the parent (``>&-``), so that no
    socket receives their descriptors."""
    for fd, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is fd
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))


def _exit_with_error(message: str, status: int) -> NoReturn:
    echo_error(message)
    sys.exit(status)
