"""``kademlua help [COMMAND]``."""

from __future__ import annotations

import click


@click.command("help", short_help="Show the help of a command.")
@click.argument("command", nargs=-1)
@click.pass_context
def show_help(context: click.Context, command: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or of kademlua.

    \b
    Examples:
        kademlua help
        kademlua help set
        kademlua help record put
    """
    shown = context.find_root()
    for name in command:
        group = shown.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{shown.command_path} has no commands.", shown)
        _, found, _ = group.resolve_command(shown, [name])
        assert found is not None, "an unknown name raises UsageError"
        shown = click.Context(found, info_name=name, parent=shown)
    click.echo(shown.get_help())
