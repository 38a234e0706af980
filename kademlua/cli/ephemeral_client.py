"""Short-lived read-only clients: bootstrap from one node, ask, and end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import click
import gevent

from kademlua.cli.addresses import bind_hosts, is_loopback, resolve
from kademlua.cli.options import CONTROL_PORT
from kademlua.cli.v10_peers import read_v10_peers, write_v10_peers
from kademlua.core.contact import ALL_FAMILIES, ContactPool, Endpoint, format_endpoint
from kademlua.core.errors import KademluaError, RpcTimeout
from kademlua.core.params import Params
from kademlua.core.results import Pong
from kademlua.core.wire import replies
from kademlua.crypto.signing import Signer
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.rpc.call_options import PADDED_REQUEST_BYTES_IPV6
from kademlua.values.ownership import OwnAddresses

_CONTACT_TIMEOUT = 3.0
"""Seconds until the first reply: two attempts, because datagrams get lost."""
_PING_TIMEOUT = 1.0
_PADDING = bytes(PADDED_REQUEST_BYTES_IPV6)
"""An ignored argument: the amplification limit allows replies of three times the request to an
unvalidated address, so a larger request returns more contacts."""
_PARAMS = Params(bootstrap_retry=0.01)


@contextmanager
def ephemeral_node(
    via: Endpoint | None, network_keys: Sequence[bytes] = (), identity: Signer | None = None
) -> Iterator[Node]:
    """Run a read-only node that joined through ``via``, by default the node on port 8001.

    With an ``identity``, it owns the values that earlier clients with this identity stored.

    The node binds to the loopback interface if ``via`` and the contacts that it returns do, so
    that other machines cannot reach it.

    Raises:
        click.ClickException: ``via`` does not reply.
    """
    via = via or _default_via()
    targets = resolve(via[0])
    options = NodeOptions(network_keys=network_keys, identity=identity)
    if identity is not None:  # earlier clients had other ports
        options = replace(options, last_addresses=OwnAddresses(moved_at=time.time()))
    with _joined_node(targets, via, options) as node:
        non_loopback = (
            _non_loopback_addresses(node, targets, via[1]) if is_loopback(node.contact.addr) else []
        )
        if not non_loopback:
            yield node
            return
    with _joined_node([*targets, *non_loopback], via, options) as node:
        yield node


def _default_via() -> Endpoint:
    return "127.0.0.1", CONTROL_PORT


@contextmanager
def _joined_node(targets: list[str], via: Endpoint, options: NodeOptions) -> Iterator[Node]:
    address = format_endpoint(via)
    started = _started_node(targets, [via], options)
    with started as node, show_progress(f"asking {address}"):
        if not node.wait_joined(_CONTACT_TIMEOUT):
            hint = "; start a node there with: kademlua node" if via == _default_via() else ""
            raise click.ClickException(f"no reply from {address}{hint}")
        yield node


def _non_loopback_addresses(node: Node, targets: list[str], port: int) -> list[str]:
    """Return the addresses that ``targets`` returns and a loopback socket cannot reach."""
    for addr in targets:
        try:
            reply = node.call((addr, port), "findnode", node.id, _PADDING, timeout=_PING_TIMEOUT)
            contacts = replies.decode_findnode_reply(reply, ContactPool(), ALL_FAMILIES)
        except KademluaError:
            continue
        return [each.addr for each in contacts if not is_loopback(each.addr)]
    return []


def ping_until_reply(endpoint: Endpoint, network_keys: Sequence[bytes] = ()) -> Pong:
    """Ping for up to 3 seconds, and return the first reply.

    Raises:
        click.ClickException: there is no reply, or only invalid ones.
    """
    address = format_endpoint(endpoint)
    targets = resolve(endpoint[0])
    options = NodeOptions(network_keys=network_keys)
    with _started_node(targets, [], options) as node, show_progress(f"asking {address}"):
        deadline = time.monotonic() + _CONTACT_TIMEOUT
        reachable = [addr for addr in targets if ":" not in addr or node.contact.is_ipv6]
        error: KademluaError | None = None
        while time.monotonic() < deadline:
            for addr in reachable:
                try:
                    return node.ping((addr, endpoint[1]), timeout=_PING_TIMEOUT)
                except RpcTimeout:
                    error = None
                except KademluaError as reason:  # an invalid reply
                    error = reason
            if error is not None:
                raise click.ClickException(f"{address}: {error}")
    raise click.ClickException(f"no reply from {address}")


@contextmanager
def _started_node(
    targets: list[str], bootstrap: list[Endpoint], options: NodeOptions
) -> Iterator[Node]:
    """Run a read-only node that can reach the addresses in ``targets``."""
    known = read_v10_peers()
    options = replace(options, v10_peers=known)
    with (
        exit_on_sigint(),
        closing(_start_on_first_usable(bind_hosts(targets), bootstrap, options)) as node,
    ):
        try:
            yield node
        finally:
            if (found := node.services.liveliness.versions.v10_peers) != known:
                write_v10_peers(found)


@contextmanager
def exit_on_sigint() -> Iterator[None]:
    """Let ^C end the process immediately; a client has nothing to clean up."""
    previous_handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def _start_on_first_usable(
    hosts: list[str], bootstrap: list[Endpoint], options: NodeOptions
) -> Node:
    reason = "no usable address"
    for host in hosts:
        node = Node(
            0,
            host,
            bootstrap=bootstrap,
            read_only=True,
            params=_PARAMS,
            options=options,
        )
        try:
            node.start()
        except OSError as error:  # for example, no IPv6 on this machine
            reason = str(error.strerror)
        else:
            return node
    raise click.ClickException(f"can't open a socket: {reason}")


@contextmanager
def show_progress(text: str) -> Iterator[None]:
    """Show ``text`` on a terminal after 1 second."""
    if not sys.stderr.isatty():
        yield
        return
    delayed = gevent.spawn_later(1.0, click.echo, f"{text} …", err=True, nl=False)
    try:
        yield
    finally:
        if delayed.ready():
            click.echo("\r\x1b[K", err=True, nl=False)
        delayed.kill()
