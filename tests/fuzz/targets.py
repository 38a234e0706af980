"""What is fuzzed: each target takes any bytes, and raises only where something is wrong.

Without the fuzzer they are plain functions, which the tests call with the corpus.
"""

from __future__ import annotations

import random
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import gevent
from gevent import socket

from kademlua import Node, NodeOptions, Params
from kademlua.api.operations import NodeApi
from kademlua.cli.config import load_config
from kademlua.control.connection import ControlConnection
from kademlua.control.json_lines import JsonLineStream
from kademlua.core.contact import ALL_FAMILIES, ContactPool, Endpoint
from kademlua.core.errors import BadArguments, WireError
from kademlua.core.wire import bencoding, packets, replies
from kademlua.core.wire.packets import REQUEST
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.toml_table import ScenarioError

_READERS: list[Callable[[list[Any]], object]] = [
    lambda values: replies.decode_findnode_reply(values, ContactPool(), ALL_FAMILIES),
    replies.decode_retval,
    replies.decode_store_reply,
    replies.decode_remove_reply,
    replies.decode_getsocket_reply,
]
_RPC_ID = slice(21, 29)
_CALL = 29
_EVERY = 256
"""Inputs after which greenlets have a turn."""


def bencoded(data: bytes) -> None:
    """Bencoding and packets, and each reader of an answer: WireError or a result."""
    for read in (bencoding.decode, packets.decode):
        try:
            read(data)
        except WireError:
            pass
    try:
        values = packets.decode_values(data)
    except WireError:
        return
    for reader in _READERS:
        try:
            reader(values)
        except WireError:
            pass


class _Nowhere:
    """A transport to nobody, which knows what was sent last."""

    local_endpoint: Endpoint = ("192.0.2.1", 4000)
    supports_ipv4 = supports_ipv6 = True
    is_backlogged = False

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Endpoint]] = []

    def start(self, receive: Callable[[bytes, Endpoint], None]) -> None:
        self.receive = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        if datagram[_CALL] == REQUEST:
            self.sent.append((datagram, endpoint))
            del self.sent[:-64]
        return True

    def has_unread(self) -> bool:
        return False

    def discard_backlog(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


class NodeTarget:
    """A whole node: any datagram is dropped, answered, or taken for the answer to a call."""

    def __init__(self) -> None:
        self._now = 0.0
        self._count = 0
        self._failures: list[str] = []
        self._transport = _Nowhere()
        params = Params(max_entries=512, max_stored_bytes=1 << 20)
        self._node = Node(
            params=params,
            options=NodeOptions(
                transport=self._transport,
                clock=lambda: self._now,
                rng=random.Random(1),
                id=b"\x55" * 20,
            ),
        )
        self._node.start()
        self._hub: Any = gevent.get_hub()
        self._hub.handle_error = self._failed

    def close(self) -> None:
        """Leave the hub as it was."""
        del self._hub.handle_error
        self._node.close(hand_over=False)

    def _failed(self, context: object, kind: object, value: object, trace: object) -> None:
        if not (isinstance(kind, type) and issubclass(kind, gevent.GreenletExit)):
            self._failures.append(f"{context}: {kind} {value}")

    def __call__(self, data: bytes) -> None:
        """A first byte that says where it comes from, and the datagram."""
        self._count += 1
        self._now += 0.01
        who = data[0] if data else 0
        datagram = data[1:]
        sent = self._transport.sent
        if len(datagram) > _CALL and datagram[_CALL] != REQUEST and sent:
            asked, endpoint = sent[who % len(sent)]
            datagram = datagram[:21] + asked[_RPC_ID] + datagram[29:]
        else:
            endpoint = (f"198.51.100.{who}", 4000 + who)
        self._transport.receive(datagram, endpoint)
        if self._count % _EVERY == 0:
            self._turn()
        if self._failures:
            raise AssertionError(self._failures)

    def _turn(self) -> None:
        """Let the node ask something, and let its greenlets run."""
        if self._node.table:
            gevent.spawn(self._ask)
        gevent.sleep(0)
        gevent.sleep(0)

    def _ask(self) -> None:
        with gevent.Timeout(0.05, False):
            try:
                self._node.find_value(b"k" * 20)
            except (BadArguments, WireError):
                pass

    @property
    def counts(self) -> dict[str, Any]:
        """The node's counters, to see what the inputs came to."""
        return self._node.stats()


class ControlTarget:
    """A client of the control socket: lines are answered, whatever they are."""

    def __init__(self) -> None:
        self._node = Node(
            options=NodeOptions(transport=_Nowhere(), rng=random.Random(1), id=b"\x55" * 20)
        )
        self._node.start()
        self._operations = NodeApi(self._node)

    def close(self) -> None:
        """End its node."""
        self._node.close(hand_over=False)

    def __call__(self, data: bytes) -> None:
        ours, theirs = socket.socketpair()
        session = ControlConnection(JsonLineStream(ours, 65_536), self._node, self._operations)
        runner = gevent.spawn(session.run)
        try:
            theirs.sendall(data[:60_000])
            theirs.shutdown(socket.SHUT_WR)
            with gevent.Timeout(10):
                runner.get()
        finally:
            runner.kill()
            theirs.close()


def configuration(data: bytes) -> None:
    """A configuration file: one error that names it, or a Config."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            load_config(Path(file.name))
        except click.BadParameter:
            pass


def scenario(data: bytes) -> None:
    """A scenario: ScenarioError, or one that could be run."""
    try:
        values = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return
    try:
        loader.parse(values, "fuzz", "fuzz")
    except ScenarioError:
        pass


MAKERS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "bencoded": lambda: bencoded,
    "node": NodeTarget,
    "control": ControlTarget,
    "configuration": lambda: configuration,
    "scenario": lambda: scenario,
}
