"""The commands of the shell: the names in its namespace, and their help."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from typing import Any

import gevent.socket

from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, canonical_address, parse_endpoint
from kademlua.core.results import Answer, Pong, PutResult, StoreReport
from kademlua.core.values.records import SignedRecord
from kademlua.crypto.signing import Signer, SigningKey
from kademlua.node.node import Node
from kademlua.shell.node_views import routing_text
from kademlua.terminal.text import VerbatimText, pretty_format, resident_kb


class ExitShell(Exception):
    """Raised to leave the shell."""


class ShellCommand:
    """A function of the shell, with a line of help.

    If only its name is typed, the shell calls it if ``callable_without_parens``, else it shows the
    help.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        usage: str,
        summary: str,
        *,
        callable_without_parens: bool = False,
    ) -> None:
        self._function = function
        self.usage = usage
        self.summary = summary
        self.callable_without_parens = callable_without_parens

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
        self.commands = {
            "add": ShellCommand(self._add, 'add(sha1("key"), "value")', "store a value"),
            "overwrite": ShellCommand(
                self._overwrite,
                'overwrite(sha1("key"), "value")',
                "store a value, and drop those of other owners if the nodes allow it",
            ),
            "publish": ShellCommand(
                self._publish,
                'publish(sha1("key"), "value")',
                "store a value, and republish it while this node runs",
            ),
            "unpublish": ShellCommand(
                self._node.unpublish,
                'unpublish(sha1("key"))',
                "stop republishing; the value expires at its TTL",
            ),
            "published": ShellCommand(
                self._node.published,
                "published()",
                "the values that this node publishes",
                callable_without_parens=True,
            ),
            "remove": ShellCommand(
                self._remove, 'remove(sha1("key"))', "remove this node's value from all holders"
            ),
            "findvalue": ShellCommand(
                self._findvalue,
                'findvalue(sha1("key"), 3)',
                "the values of a key, from up to 3 nodes",
            ),
            "putimmutable": ShellCommand(
                self._putimmutable, 'putimmutable("value")', "store a value under its own SHA-1"
            ),
            "getimmutable": ShellCommand(
                self._getimmutable, "getimmutable(key)", "the value that has this SHA-1"
            ),
            "putsigned": ShellCommand(
                self._putsigned,
                'putsigned("value", SigningKey.load("my.key"))',
                "store a signed value, replacing the previous one",
            ),
            "getsigned": ShellCommand(
                self._getsigned, 'getsigned(public_key, b"salt")', "the newest signed record"
            ),
            "findnode": ShellCommand(
                self._findnode, 'findnode(sha1("key"))', "the contacts closest to an id"
            ),
            "ping": ShellCommand(
                self._ping, 'ping("127.0.0.1:8001")', "ping an address or a contact"
            ),
            "routing": ShellCommand(
                self._routing, "routing", "the routing table", callable_without_parens=True
            ),
            "stats": ShellCommand(
                self._stats, "stats", "the node's counters", callable_without_parens=True
            ),
            "gc": ShellCommand(
                self._gc,
                "gc",
                "collect garbage; memory before and after",
                callable_without_parens=True,
            ),
            "sha1": ShellCommand(ids.sha1, 'sha1("key")', "the id of a text, as bytes"),
            "xor": ShellCommand(_xor, 'xor(sha1("a"), node.id)', "the distance of two ids"),
            "getbucketno": ShellCommand(
                self._getbucketno,
                'getbucketno(sha1("a"))',
                "the bucket of an id; 159 is the farthest",
            ),
            "tohex": ShellCommand(_tohex, "tohex(node.id)", "an id as 40 hex digits"),
            "fromhex": ShellCommand(ids.from_hex, 'fromhex("0beec7b5…")', "40 hex digits as an id"),
            "pprint": ShellCommand(self._pprint, "pprint(value)", "pretty-print a value"),
            "help": ShellCommand(
                self._help,
                "help",
                "list the commands; help(add) explains one",
                callable_without_parens=True,
            ),
            "exit": ShellCommand(
                _exit,
                "exit",
                f"end the shell{'' if is_remote else ' and the node'}, as ^D does",
                callable_without_parens=True,
            ),
        }

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

    # A line from a pipe may arrive before the node has joined.

    def _add(self, key: bytes, value: Any, ttl: float | None = None) -> StoreReport:
        self._node.wait_joined()
        return self._node.add(key, value, ttl=ttl)

    def _overwrite(self, key: bytes, value: Any, ttl: float | None = None) -> StoreReport:
        self._node.wait_joined()
        return self._node.overwrite(key, value, ttl=ttl)

    def _publish(self, key: bytes, value: Any, ttl: float | None = None) -> StoreReport:
        self._node.wait_joined()
        return self._node.publish(key, value, ttl=ttl)

    def _remove(self, key: bytes) -> StoreReport:
        self._node.wait_joined()
        return self._node.remove(key)

    def _findvalue(self, key: bytes, max_nodes: int = 3) -> list[Answer]:
        self._node.wait_joined()
        return self._node.find_value(key, max_nodes)

    def _putimmutable(self, value: Any, **options: Any) -> PutResult:
        self._node.wait_joined()
        return self._node.put_immutable(value, **options)

    def _getimmutable(self, key: bytes) -> Any:
        self._node.wait_joined()
        return self._node.get_immutable(key)

    def _putsigned(self, value: Any, signer: Signer, **options: Any) -> PutResult:
        self._node.wait_joined()
        return self._node.put_signed(value, signer, **options)

    def _getsigned(
        self, public_key: bytes, salt: bytes = b"", **options: Any
    ) -> SignedRecord | None:
        self._node.wait_joined()
        return self._node.get_signed(public_key, salt, **options)

    def _findnode(self, target: bytes) -> list[Contact]:
        self._node.wait_joined()
        return self._node.find_node(target)

    def _ping(self, target: Contact | Endpoint | str) -> Pong:
        if isinstance(target, str):
            host, port = parse_endpoint(target)
            target = _resolve_address(host, is_ipv6=self._node.contact.is_ipv6), port
        return self._node.ping(target)

    def _routing(self) -> VerbatimText:
        return routing_text(self._node)

    def _stats(self) -> dict[str, Any]:
        return self._node.stats()

    def _gc(self) -> VerbatimText:
        before = resident_kb()
        count = gc.collect()
        return VerbatimText(
            f"{count:,} objects collected, {before:,} kB before, {resident_kb():,} kB now"
        )

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


def _exit() -> None:
    raise ExitShell


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
    return ids.to_hex(value)


def _resolve_address(host: str, *, is_ipv6: bool) -> str:
    """Return an IP address of a host; OSError if its name cannot be resolved."""
    try:
        return canonical_address(host)[0]
    except ValueError:
        family = socket.AF_UNSPEC if is_ipv6 else socket.AF_INET
        results = gevent.socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
        return canonical_address(str(results[0][4][0]))[0]
