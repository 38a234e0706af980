"""The commands of the shell: the names in its namespace, and their help."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from typing import Any

import gevent.socket

from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, canonical_address, parse_endpoint
from kademlua.core.results import Pong, StoreReport
from kademlua.crypto.signing import SigningKey
from kademlua.node.node import Node
from kademlua.shell.node_views import routing_text
from kademlua.terminal.text import VerbatimText, pretty_format, resident_kb


class ExitShell(Exception):
    """Raised to leave the shell."""


class ShellCommand:
    """A function of the shell, with a line of help.

    If only its name is typed, the shell calls it if its usage has no parentheses. Otherwise it
    shows the help.
    """

    def __init__(self, function: Callable[..., Any], usage: str, summary: str) -> None:
        self._function = function
        self.usage = usage
        self.summary = summary
        self.name, parenthesis, _ = usage.partition("(")
        self.callable_without_parens = not parenthesis

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    def __repr__(self) -> str:
        return f"{self.usage}  {self.summary}"


class ShellCommands:
    """The commands of one node's shell."""

    def __init__(
        self,
        node: Node,
        write: Callable[[str], None],
        *,
        width: int | None = None,
        is_remote: bool = False,
    ) -> None:
        """Prepare the commands.

        ``write`` shows a line, ``width`` is the terminal's. ``exit`` in a remote shell does not
        stop the node.
        """
        self._width = width
        self._node = node
        self._write = write
        ended = "the shell" if is_remote else "the shell and the node"
        commands = [
            *self._network_commands(),
            ShellCommand(self._routing, "routing", "the routing table"),
            ShellCommand(node.stats, "stats", "the node's counters"),
            ShellCommand(_gc, "gc", "collect garbage; memory before and after"),
            ShellCommand(ids.sha1, 'sha1("key")', "the id of a text, as bytes"),
            ShellCommand(_xor, 'xor(sha1("a"), node.id)', "the distance of two ids"),
            ShellCommand(
                self._getbucketno,
                'getbucketno(sha1("a"))',
                "the bucket of an id; 159 is the farthest",
            ),
            ShellCommand(_tohex, "tohex(node.id)", "an id as 40 hex digits"),
            ShellCommand(ids.from_hex, 'fromhex("0beec7b5…")', "40 hex digits as an id"),
            ShellCommand(self._pprint, "pprint(value)", "pretty-print a value"),
            ShellCommand(self._help, "help", "list the commands; help(add) explains one"),
            ShellCommand(_exit, "exit", f"end {ended}, as ^D does"),
        ]
        self.commands = {command.name: command for command in commands}

    def _network_commands(self) -> list[ShellCommand]:
        node = self._node
        return [
            self._after_join(
                _with_positional_ttl(node.add), 'add(sha1("key"), "value")', "store a value"
            ),
            self._after_join(
                _with_positional_ttl(node.overwrite),
                'overwrite(sha1("key"), "value")',
                "store a value, and drop those of other owners if the nodes allow it",
            ),
            self._after_join(
                _with_positional_ttl(node.publish),
                'publish(sha1("key"), "value")',
                "store a value, and republish it while this node runs",
            ),
            ShellCommand(
                node.unpublish,
                'unpublish(sha1("key"))',
                "stop republishing; the value expires at its TTL",
            ),
            ShellCommand(node.published, "published", "the values that this node publishes"),
            self._after_join(
                node.remove, 'remove(sha1("key"))', "remove this node's value from all holders"
            ),
            self._after_join(
                node.find_value,
                'findvalue(sha1("key"), 3)',
                "the values of a key, from up to 3 nodes",
            ),
            self._after_join(
                node.put_immutable, 'putimmutable("value")', "store a value under its own SHA-1"
            ),
            self._after_join(
                node.get_immutable, "getimmutable(key)", "the value that has this SHA-1"
            ),
            self._after_join(
                node.put_signed,
                'putsigned("value", SigningKey.load("my.key"))',
                "store a signed value, replacing the previous one",
            ),
            self._after_join(
                node.get_signed, 'getsigned(public_key, b"salt")', "the newest signed record"
            ),
            self._after_join(
                node.find_node, 'findnode(sha1("key"))', "the contacts closest to an id"
            ),
            ShellCommand(self._ping, 'ping("127.0.0.1:8001")', "ping an address or a contact"),
        ]

    def _after_join(self, operation: Callable[..., Any], usage: str, summary: str) -> ShellCommand:
        """Return a command that waits: a line from a pipe may arrive before the node has joined."""

        def run(*args: Any, **options: Any) -> Any:
            self._node.wait_joined()
            return operation(*args, **options)

        return ShellCommand(run, usage, summary)

    def namespace(self) -> dict[str, Any]:
        """Return the names that expressions can use."""
        return {
            "__name__": "kademlua",
            **self.commands,
            "quit": self.commands["exit"],
            "node": self._node,
            "Contact": Contact,
            "SigningKey": SigningKey,
        }

    def _ping(self, target: Contact | Endpoint | str) -> Pong:
        if isinstance(target, str):
            host, port = parse_endpoint(target)
            target = _resolve_address(host, is_ipv6=self._node.contact.is_ipv6), port
        return self._node.ping(target)

    def _routing(self) -> VerbatimText:
        return routing_text(self._node)

    def _getbucketno(self, a: bytes, b: bytes | None = None) -> int:
        other = self._node.id if b is None else b
        return ids.bucket_number(_validate_id(a), _validate_id(other))

    def _pprint(self, value: Any) -> None:
        self._write(pretty_format(value, self._width))

    def _help(self, command: object = None) -> VerbatimText:
        if isinstance(command, ShellCommand):
            return VerbatimText(repr(command))
        if command is not None:
            raise TypeError("help takes one of the commands that it lists, as in help(add)")
        width = max(len(each.usage) for each in self.commands.values())
        lines = [f"  {each.usage:{width}}  {each.summary}" for each in self.commands.values()]
        return VerbatimText(
            "Type a Python expression, or an assignment such as  found = findnode(node.id)\n"
            + "\n".join(lines)
            + f"\n  {'node':{width}}  the node itself, as in the library"
        )


def _with_positional_ttl(store: Callable[..., StoreReport]) -> Callable[..., StoreReport]:
    def call(key: bytes, value: Any, ttl: float | None = None) -> StoreReport:
        return store(key, value, ttl=ttl)

    return call


def _exit() -> None:
    raise ExitShell


def _gc() -> VerbatimText:
    before = resident_kb()
    count = gc.collect()
    return VerbatimText(
        f"{count:,} objects collected, {before:,} kB before, {resident_kb():,} kB now"
    )


def _validate_id(value: object) -> bytes:
    if not ids.is_id(value):
        raise TypeError(f"an id is {ids.ID_BYTES} bytes (sha1(text) makes one), not {value!r:.60}")
    assert isinstance(value, bytes)
    return value


def _xor(a: bytes, b: bytes) -> bytes:
    return ids.xor(_validate_id(a), _validate_id(b))


def _tohex(value: bytes) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"tohex needs bytes, not {value!r:.60}")
    return value.hex()


def _resolve_address(host: str, *, is_ipv6: bool) -> str:
    """Return an IP address of a host; OSError if its name cannot be resolved."""
    try:
        return canonical_address(host)[0]
    except ValueError:
        family = socket.AF_UNSPEC if is_ipv6 else socket.AF_INET
        results = gevent.socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
        return canonical_address(str(results[0][4][0]))[0]
