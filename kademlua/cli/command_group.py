"""A click group that imports commands lazily and reports errors on one line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from kademlua.core.errors import KademluaError
from kademlua.terminal.text import to_one_line


class CommandGroup(click.Group):
    """A group that imports a command's module only when the command is called or listed, so that
    ``kademlua ping`` does not import the swarm's code."""

    def __init__(self, *args: Any, import_paths: Mapping[str, str], **options: Any) -> None:
        """``import_paths`` maps each command to ``module:variable``, in the order of the help."""
        super().__init__(*args, **options)
        self._import_paths = import_paths

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the given order."""
        return list(self._import_paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or return None for an unknown name."""
        import_path = self._import_paths.get(cmd_name)
        if import_path is None:
            return None
        module, _, variable = import_path.partition(":")
        command = getattr(importlib.import_module(module), variable)
        assert isinstance(command, click.Command)
        _set_envvars(command, cmd_name)
        return command

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
            message = error.format_message()
            if error.ctx:
                message = f"{message.removesuffix('.')}. Try '{error.ctx.command_path} --help'."
            _exit_with_error(message, error.exit_code)
        except click.ClickException as error:
            _exit_with_error(error.format_message(), error.exit_code)
        except click.Abort:  # ^C
            os.write(2, b"\n")
            sys.exit(130)
        except KademluaError as error:
            _exit_with_error(str(error), 1)
        except OSError as error:
            _exit_with_error(
                f"{error.filename}: {error.strerror}" if error.filename else str(error), 1
            )
        sys.exit(status if isinstance(status, int) else 0)


def _set_envvars(command: click.Command, name: str) -> None:
    """Name an environment variable for each option: ``KADEMLUA_NODE_LOG_FILE`` sets
    ``--log-file`` of ``kademlua node``."""
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
    click.echo(f"Error: {to_one_line(message)}", err=True)
    sys.exit(status)
