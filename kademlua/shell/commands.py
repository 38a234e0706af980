"""The commands of the shell: the names in its namespace, and the help on them."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from typing import Any

import gevent.socket

from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, canonical_address, parse_endpoint
from kademlua.core.results import Answer, Recorded, StoreReport
from kademlua.core.values.records import SignedRecord
from kademlua.crypto.signing import Signer, SigningKey
from kademlua.node.node import Node, Pong
from kademlua.shell.node_views import routing_text
from kademlua.terminal.text import Text, memory_kb, pretty


class Leave(Exception):
    """The user wants to leave the shell."""


class Command:
    """A function of the shell with the line of help on it.

    Where only its name is typed, the shell calls it if it is ``bare``, and shows the help
    otherwise.
    """

    def __init__(
        self, function: Callable[..., Any], usage: str, says: str, *, bare: bool = False
    ) -> None:
        self._function = function
        self.usage = usage
        self.says = says
        self.bare = bare

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    def __repr__(self) -> str:
        return f"{self.usage}  {self.says}"


class ShellCommands:
    """What can be typed at the prompt of one node's shell."""

    def __init__(
        self,
        node: Node,
        write: Callable[[str], None],
        *,
        width: int | None = None,
        is_guest: bool = False,
    ) -> None:
        """``write`` shows a line, ``width`` is that of the terminal; a guest's ``exit`` does not
        end the node."""
        self._width = width
        self._node = node
        self._write = write
        self.commands = {
            "add": Command(self._add, 'add(sha1("key"), "value")', "store a value"),
            "overwrite": Command(
                self._overwrite,
                'overwrite(sha1("key"), "value")',
                "store a value; others' go where the nodes allow it",
            ),
            "publish": Command(
                self._publish,
                'publish(sha1("key"), "value")',
                "store a value, and keep it alive while this node lives",
            ),
            "unpublish": Command(
                self._node.unpublish, 'unpublish(sha1("key"))', "let it end with its time"
            ),
            "published": Command(
                self._node.published, "published()", "what this node publishes", bare=True
            ),
            "remove": Command(
                self._remove, 'remove(sha1("key"))', "take this node's value away from all holders"
            ),
            "findvalue": Command(
                self._findvalue,
                'findvalue(sha1("key"), 3)',
                "the values of a key, from up to 3 nodes",
            ),
            "putimmutable": Command(
                self._putimmutable, 'putimmutable("value")', "store a value under its own SHA-1"
            ),
            "getimmutable": Command(
                self._getimmutable, "getimmutable(key)", "the value that has this SHA-1"
            ),
            "putsigned": Command(
                self._putsigned,
                'putsigned("value", SigningKey.load("my.key"))',
                "store a value signed, in place of the one before",
            ),
            "getsigned": Command(
                self._getsigned, 'getsigned(public_key, b"salt")', "the newest signed record"
            ),
            "findnode": Command(
                self._findnode, 'findnode(sha1("key"))', "the contacts closest to an id"
            ),
            "ping": Command(
                self._ping, 'ping("127.0.0.1:8001")', "who answers at an address; or a contact"
            ),
            "routing": Command(self._routing, "routing", "the routing table", bare=True),
            "stats": Command(self._stats, "stats", "what the node counted so far", bare=True),
            "gc": Command(self._gc, "gc", "collect garbage; memory before and after", bare=True),
            "sha1": Command(ids.sha1, 'sha1("key")', "the id of a text, as bytes"),
            "xor": Command(_xor, 'xor(sha1("a"), node.id)', "the distance of two ids"),
            "getbucketno": Command(
                self._getbucketno, 'getbucketno(sha1("a"))', "the bucket of an id, 159 is far"
            ),
            "tohex": Command(_tohex, "tohex(node.id)", "an id as 40 hex digits"),
            "fromhex": Command(ids.from_hex, 'fromhex("0beec7b5…")', "40 hex digits as an id"),
            "pprint": Command(self._pprint, "pprint(value)", "show a value, pretty"),
            "help": Command(self._help, "help", "this; help(add) on one of them", bare=True),
            "exit": Command(
                _leave,
                "exit",
                f"end the shell{'' if is_guest else ' and the node'}, as ^D does",
                bare=True,
            ),
        }

    def namespace(self) -> dict[str, Any]:
        """The names that expressions start with."""
        return {
            "__name__": "kademlua",
            **self.commands,
            "quit": self.commands["exit"],
            "node": self._node,
            "Contact": Contact,
            "SigningKey": SigningKey,
        }

    # A line that comes through a pipe may be there before the node has joined.

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

    def _findvalue(self, key: bytes, howmany: int = 3) -> list[Answer]:
        self._node.wait_joined()
        return self._node.find_value(key, howmany)

    def _putimmutable(self, value: Any, **how: Any) -> Recorded:
        self._node.wait_joined()
        return self._node.put_immutable(value, **how)

    def _getimmutable(self, key: bytes) -> Any:
        self._node.wait_joined()
        return self._node.get_immutable(key)

    def _putsigned(self, value: Any, signer: Signer, **how: Any) -> Recorded:
        self._node.wait_joined()
        return self._node.put_signed(value, signer, **how)

    def _getsigned(self, public_key: bytes, salt: bytes = b"", **how: Any) -> SignedRecord | None:
        self._node.wait_joined()
        return self._node.get_signed(public_key, salt, **how)

    def _findnode(self, target: bytes) -> list[Contact]:
        self._node.wait_joined()
        return self._node.find_node(target)

    def _ping(self, to: Contact | Endpoint | str) -> Pong:
        if isinstance(to, str):
            host, port = parse_endpoint(to)
            to = _address(host, is_ipv6=self._node.contact.is_ipv6), port
        return self._node.ping(to)

    def _routing(self) -> Text:
        return routing_text(self._node)

    def _stats(self) -> dict[str, Any]:
        return self._node.stats()

    def _gc(self) -> Text:
        before = memory_kb()
        count = gc.collect()
        return Text(f"{count:,} objects collected, {before:,} kB before, {memory_kb():,} kB now")

    def _getbucketno(self, a: bytes, b: bytes | None = None) -> int:
        other = self._node.id if b is None else b
        return ids.bucket_number(_checked(a), _checked(other))

    def _pprint(self, value: Any) -> None:
        self._write(pretty(value, self._width))

    def _help(self, command: object = None) -> Text:
        if isinstance(command, Command):
            return Text(repr(command))
        if command is not None:
            raise TypeError("help is there for the commands that it lists, as in help(add)")
        width = max(len(each.usage) for each in self.commands.values())
        lines = [f"  {each.usage:{width}}  {each.says}" for each in self.commands.values()]
        return Text(
            "Type a Python expression, or an assignment such as  found = findnode(node.id)\n"
            + "\n".join(lines)
            + f"\n  {'node':{width}}  the node itself, as in the library"
        )


def _leave() -> None:
    raise Leave


def _checked(value: object) -> bytes:
    if not ids.is_id(value):
        raise TypeError(f"an id is {ids.ID_BYTES} bytes (sha1(text) makes one), not {value!r:.60}")
    assert isinstance(value, bytes)
    return value


def _xor(a: bytes, b: bytes) -> bytes:
    return ids.xor(_checked(a), _checked(b))


def _tohex(value: bytes) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"tohex takes bytes, not {value!r:.60}")
    return ids.to_hex(value)


def _address(host: str, *, is_ipv6: bool) -> str:
    """An IP address of a host; OSError where its name can't be resolved."""
    try:
        return canonical_address(host)[0]
    except ValueError:
        family = socket.AF_UNSPEC if is_ipv6 else socket.AF_INET
        rows = gevent.socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)
        return canonical_address(str(rows[0][4][0]))[0]
