"""The command line: ``kademlua``, a group of commands, each in the module that is named here."""

from __future__ import annotations

import click

import kademlua
from kademlua.cli.command_group import CommandGroup

_COMMANDS = {
    "node": "kademlua.cli.node:node",
    "swarm": "kademlua.cli.swarm:swarm",
    "add": "kademlua.cli.client_commands:add",
    "find": "kademlua.cli.client_commands:find",
    "put": "kademlua.cli.record_commands:put",
    "get": "kademlua.cli.record_commands:get",
    "lookup": "kademlua.cli.client_commands:lookup",
    "ping": "kademlua.cli.client_commands:ping",
    "keygen": "kademlua.cli.keygen:keygen",
    "publish": "kademlua.cli.daemon_commands:publish",
    "unpublish": "kademlua.cli.daemon_commands:unpublish",
    "published": "kademlua.cli.daemon_commands:published",
    "remove": "kademlua.cli.daemon_commands:remove",
    "stored": "kademlua.cli.daemon_commands:stored",
    "shell": "kademlua.cli.shell:shell",
    "top": "kademlua.cli.top.command:top",
    "export": "kademlua.cli.export_import:export_values",
    "import": "kademlua.cli.export_import:import_values",
    "bench": "kademlua.cli.bench:bench",
    "simulate": "kademlua.cli.simulate:simulate",
    "trace": "kademlua.cli.trace:trace",
}


@click.group(
    cls=CommandGroup,
    import_paths=_COMMANDS,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(kademlua.__version__, prog_name="kademlua", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Kademlua, a Kademlia distributed hash table.

    \b
    A network of two nodes, each in a terminal of its own:
        kademlua node 8001
        kademlua node 8002
    and from a third one:
        kademlua add greeting "hello world"
        kademlua find greeting

    \b
    A hundred nodes at once, and a prompt amid them:
        kademlua swarm 100 --shell

    Options may come from the environment, too: KADEMLUA_NODE_HOST for --host of kademlua node.

    Exit status: 0 done, 1 it failed, 2 wrong use. What went wrong is one line on the standard
    error output.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)
