"""The ``kademlua`` command line, and the modules of its commands."""

from __future__ import annotations

import click

import kademlua
from kademlua.build import describe_build
from kademlua.cli.command_group import CommandGroup

_MODULES = (
    "node",
    "swarm",
    "value_commands",
    "watch",
    "remove_commands",
    "mail_commands",
    "node_commands",
    "client_commands",
    "record_commands",
    "object_commands",
    "keygen",
    "daemon_commands",
    "shell",
    "top.command",
    "file_commands",
    "bench",
    "simulate",
    "trace",
    "help_commands",
)
"""The modules of commands, in the order of the help."""


@click.group(
    cls=CommandGroup,
    modules=[f"{__name__}.{module}" for module in _MODULES],
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(
    kademlua.__version__, prog_name="kademlua", message=f"%(prog)s %(version)s ({describe_build()})"
)
@click.pass_context
def main(context: click.Context) -> None:
    """Kademlua, a Kademlia distributed hash table.

    \b
    Start two nodes, each in its own terminal:
        kademlua node 8001
        kademlua node 8002
    Store and find a value from a third terminal:
        kademlua set greeting "hello world"
        kademlua get greeting

    \b
    Run a hundred nodes, with a shell:
        kademlua swarm 100 --shell

    Environment variables set options: KADEMLUA_NODE_HOST sets --host of kademlua node.

    Exit status: 0 success, 1 failure, 2 usage error. Errors are one line on standard error.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)
