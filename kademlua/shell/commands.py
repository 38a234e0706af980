"""The commands of the shell: the names in its namespace, and their help."""

from __future__ import annotations

import functools
import gc
import inspect
import socket
from collections.abc import Callable
from typing import Any, Literal

import gevent.socket

from kademlua.core.contact import Contact, Endpoint, canonical_address, parse_endpoint
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.core.results import Answer, Pong, PutResult, StoreReport
from kademlua.core.values.records import SignedRecord
from kademlua.crypto.signing import SigningKey
from kademlua.node.node import Node
from kademlua.shell import id_functions
from kademlua.shell.id_functions import to_key
from kademlua.shell.node_views import FoundContacts, change_text, routing_text
from kademlua.terminal.text import VerbatimText, plural, pretty_format, resident_kb

_DEFAULT_PORT = 8001


class ExitShell(Exception):
    """Raised to leave the shell."""


class ShellCommand:
    """A function of the shell, with a line of help.

    If only its name is typed, the shell calls it if its usage has no parentheses. Otherwise it
    shows the help. ``stats["contacts"]`` is ``stats()["contacts"]``.
    """

    def __init__(self, function: Callable[..., Any], usage: str, summary: str) -> None:
        self._function = function
        self.usage = usage
        self.summary = summary
        self.name, parenthesis, _ = usage.partition("(")
        self.callable_without_parens = not parenthesis

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function.

        Raises:
            TypeError: arguments are missing or too many; the message shows the usage.
        """
        try:
            inspect.signature(self._function).bind(*args, **options)
        except TypeError as error:  # Python's own message would name an internal function
            raise TypeError(f"{error}; use {self.usage}") from None
        return self._function(*args, **options)

    def __getitem__(self, item: Any) -> Any:
        return self()[item]

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
        exit_target: str = "the node",
    ) -> None:
        """Prepare the commands.

        ``write`` shows a line, ``width`` is the terminal's. ``exit_target`` is what ``exit`` ends.
        """
        self._width = width
        self._node = node
        self._write = write
        commands = [
            *self._network_commands(),
            ShellCommand(self._routing, "routing", "the routing table"),
            ShellCommand(node.stats, "stats", "the node's counters"),
            ShellCommand(_gc, "gc", 'collect garbage; gc("step") only that of new objects'),
            ShellCommand(id_functions.sha1, 'sha1("key")', "the id of a text, as bytes"),
            ShellCommand(
                id_functions.xor, 'xor(sha1("a"), node.id)', "the distance of two ids, as bytes"
            ),
            ShellCommand(
                id_functions.bucket_of,
                'getbucketno(xor(sha1("a"), node.id))',
                "the bucket of a distance; 1 is the farthest",
            ),
            ShellCommand(id_functions.to_hex, "tohex(node.id)", "the hex digits of an id"),
            ShellCommand(id_functions.from_hex, 'fromhex("0beec7b5…")', "hex digits as bytes"),
            ShellCommand(self._pprint, "pprint(value)", "pretty-print a value"),
            ShellCommand(self._help, "help", "list the commands; help(add) explains one"),
            ShellCommand(_exit, "exit", f"end {exit_target}, as ^D does"),
        ]
        self.commands = {command.name: command for command in commands}

    def _network_commands(self) -> list[ShellCommand]:
        node, after_join = self._node, self._after_join
        return [
            after_join(_store(node.add), 'add("key", "value")', "store a value"),
            after_join(
                _store(node.overwrite),
                'overwrite("key", "value")',
                "store a value, and drop those of other owners if the nodes allow it",
            ),
            after_join(
                _store(node.publish),
                'publish("key", "value")',
                "store a value, and republish it while this node runs",
            ),
            ShellCommand(
                lambda key: node.unpublish(to_key(key)),
                'unpublish("key")',
                "stop republishing; the value expires at its TTL",
            ),
            ShellCommand(node.published, "published", "the values that this node publishes"),
            after_join(
                lambda key: node.remove(to_key(key)),
                'remove("key")',
                "remove this node's value from all holders",
            ),
            after_join(
                self._findvalue,
                'findvalue("key", 3, 10)',
                "the values of a key, from up to 3 nodes, up to 10 of each",
            ),
            after_join(
                node.put_immutable, 'putimmutable("value")', "store a value under its own SHA-1"
            ),
            after_join(
                self._get_immutable,
                "getimmutable(key)",
                "the value that has this SHA-1",
            ),
            after_join(
                self._put_signed,
                'putsigned("value", SigningKey.load("my.key"))',
                "store a signed value, replacing the previous one",
            ),
            after_join(
                self._get_signed, 'getsigned(public_key, b"salt")', "the newest signed record"
            ),
            after_join(self._watch, 'watch("key")', "show what changes under a key, until ^C"),
            after_join(self._findnode, 'findnode("key")', "the contacts closest to an id"),
            ShellCommand(self._ping, 'ping("127.0.0.1:8001")', "ping an address or a contact"),
        ]

    def _after_join(self, operation: Callable[..., Any], usage: str, summary: str) -> ShellCommand:
        """Return a command that waits: a line from a pipe may arrive before the node has joined."""

        @functools.wraps(operation)  # keeps its signature, too
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
            host, port = parse_endpoint(target, _DEFAULT_PORT)
            target = _resolve_address(host, is_ipv6=self._node.contact.is_ipv6), port
        elif not isinstance(target, tuple | Contact):
            raise TypeError(f"ping takes text HOST:PORT or a contact, not {target!r:.60}")
        return self._node.ping(target)

    def _routing(self) -> VerbatimText:
        return routing_text(self._node)

    def _findvalue(
        self, key: Any, max_nodes: int = 3, max_values: int | None = None, **options: Any
    ) -> list[Answer]:
        for count in (max_nodes, 1 if max_values is None else max_values):
            _require_count(count)
        if max_values is not None:
            options["limits"] = FindLimits(max_values_per_node=max_values)
        started_at = self._node.now
        answers = self._node.find_value(to_key(key), max_nodes, **options)
        milliseconds = (self._node.now - started_at) * 1000
        self._write(f"{plural(len(answers), 'answer')} in {milliseconds:.1f} ms")
        return answers

    def _get_immutable(self, key: Any) -> Any:
        try:
            return self._node.get_immutable(to_key(key))
        except KeyError:
            self._write("no node has this value")
            return None

    def _put_signed(self, value: Any, signer: SigningKey, **options: Any) -> PutResult:
        if not hasattr(signer, "sign"):
            raise TypeError(f'sign with SigningKey.load("my.key"), not {signer!r:.60}')
        return self._node.put_signed(value, signer, **options)

    def _get_signed(
        self, public_key: bytes | str, salt: bytes | str = b"", **options: Any
    ) -> SignedRecord | None:
        if isinstance(public_key, str):  # as keygen shows it
            public_key = id_functions.from_hex(public_key)
        if isinstance(salt, str):
            salt = salt.encode()
        record = self._node.get_signed(public_key, salt, **options)
        if record is None:
            self._write("no node has such a record")
        return record

    def _watch(self, key: Any) -> None:
        with self._node.watch(to_key(key)) as changes:
            for change in changes:
                self._write(change_text(change))

    def _findnode(self, target: Any) -> FoundContacts:
        target_id = to_key(target)
        return FoundContacts(self._node.find_node(target_id), target_id)

    def _pprint(self, value: Any) -> None:
        self._write(pretty_format(value, self._width))

    def _help(self, command: object = None) -> VerbatimText:
        if isinstance(command, str):
            command = self.commands.get(command, command)
        if isinstance(command, ShellCommand):
            return VerbatimText(repr(command))
        if command is not None:
            raise TypeError("help takes one of the commands that it lists, as in help(add)")
        width = max(len(each.usage) for each in self.commands.values())
        lines = [f"  {each.usage:{width}}  {each.summary}" for each in self.commands.values()]
        return VerbatimText(
            "Type a Python expression, or an assignment such as  found = findnode(node.id)\n"
            "A key is text, or an id as 40 hex digits or 20 bytes. _ is the last value.\n"
            + "\n".join(lines)
            + f"\n  {'node':{width}}  the node itself, as in the library"
        )


def _store(store: Callable[..., StoreReport]) -> Callable[..., StoreReport]:
    def call(key: Any, value: Any, ttl: float | None = None) -> StoreReport:
        return store(to_key(key), value, ttl=ttl)

    return call


def _require_count(count: object) -> None:
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"findvalue takes counts of at least 1, not {count!r:.60}")


def _exit() -> None:
    raise ExitShell


def _gc(mode: Literal["collect", "step"] = "collect") -> VerbatimText:
    if mode not in ("collect", "step"):
        raise ValueError(f'gc takes "collect" or "step", not {mode!r:.60}')
    before = resident_kb()
    count = gc.collect(0 if mode == "step" else 2)
    return VerbatimText(
        f"{count:,} objects collected, {before:,} kB before, {resident_kb():,} kB now"
    )


def _resolve_address(host: str, *, is_ipv6: bool) -> str:
    """Return an IP address of a host.

    Raises:
        OSError: its name cannot be resolved.
    """
    try:
        return canonical_address(host)[0]
    except ValueError:
        family = socket.AF_UNSPEC if is_ipv6 else socket.AF_INET
        try:
            results = gevent.socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
        except socket.gaierror as error:
            raise OSError(f"can't resolve {host}: {error.strerror}") from None
        return canonical_address(str(results[0][4][0]))[0]
