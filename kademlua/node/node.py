"""Node: the public interface of one node. Each operation is one line, explained where it leads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kademlua.build import build_name
from kademlua.core import ids
from kademlua.core.contact import Contact, Endpoint, global_address
from kademlua.core.errors import NodeClosed
from kademlua.core.histograms import LatencyHistograms
from kademlua.core.params import Params
from kademlua.core.routing.table import RoutingTable
from kademlua.core.values.store import Store
from kademlua.node.bulk import Bulk
from kademlua.node.calls import Calls
from kademlua.node.lifecycle import Lifecycle, NodeState
from kademlua.node.mailboxes import Mailboxes
from kademlua.node.objects import Objects
from kademlua.node.operation import BlockingCalls, operation
from kademlua.node.operations import NodeOperations
from kademlua.node.options import NodeOptions
from kademlua.node.records import Records
from kademlua.node.services import build_context, build_services
from kademlua.node.values import Values
from kademlua.node.watches import Watches
from kademlua.runtime.observers import Observer


class Node(NodeOperations, BlockingCalls):
    """One node of the network.

    Its operations block only the greenlet that calls them; many may call them at the same time.

    >>> with Node(bootstrap=[("127.0.0.1", 8001)]) as node:
    ...     node.add(sha1("key"), b"value")
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        bootstrap: Iterable[Endpoint] = (),
        params: Params | None = None,
        read_only: bool = False,
        options: NodeOptions | None = None,
    ) -> None:
        """Prepare a node; ``start`` opens its socket.

        Args:
            port: The UDP port; 0 for a free one.
            host: An IP address of this machine; ``::`` for all, IPv4 and IPv6.
            bootstrap: Nodes through which to join, as (host name or address, port).
            params: Parameters of the protocol; default ``Params()``.
            read_only: Whether the node is a client, which stores nothing and stays out of tables.
            options: Identity, network keys, stores and environment.

        Raises:
            ValueError: the host, port, id or a key is invalid.
        """
        params, options = params or Params(), options or NodeOptions()
        if options.id is not None and not ids.is_id(options.id):
            raise ValueError(f"an id is {ids.ID_BYTES} bytes, not {options.id!r:.60}")
        if not 0 <= port < 65536:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        context, pending = build_context((host, port), params, options, read_only=read_only)
        parts = build_services(context, pending, list(bootstrap), options)
        self._context = context
        self.services = parts
        """The parts of the node, for tests and tools; not a stable interface."""
        self._lifecycle = lifecycle = Lifecycle(context, parts.maintenance)
        self._values = Values(
            context=context,
            lifecycle=lifecycle,
            lookups=parts.lookups,
            writer=parts.writer,
            republisher=parts.republisher,
            read_repair=parts.read_repair,
        )
        self._records = Records(
            context=context,
            lifecycle=lifecycle,
            lookups=parts.lookups,
            writer=parts.writer,
            read_repair=parts.read_repair,
        )
        self._bulk = Bulk(lifecycle, parts, self._values)
        self._watches = Watches(lifecycle, parts.watcher)
        self._mailboxes = Mailboxes(context, self._values, self._watches)
        self._objects = Objects(
            context=context,
            lifecycle=lifecycle,
            records=self._records,
            writer=parts.writer,
            publisher=parts.block_publisher,
        )
        self._calls = Calls(
            context=context,
            lifecycle=lifecycle,
            client=parts.client,
            server=parts.server,
            liveliness=parts.liveliness,
        )

    open_object = operation("_objects", Objects.open_object)

    # Lifecycle

    def start(self) -> None:
        """Bind the socket and answer requests; joining continues in the background. Idempotent.

        Raises:
            OSError: the port is in use.
            NodeClosed: the node was closed.
        """
        if self._lifecycle.state is NodeState.CLOSING:
            raise NodeClosed("a closed node does not start again")
        if self._lifecycle.state is NodeState.RUNNING:
            return
        self._context.transport.start(self.services.router.receive)
        self._lifecycle.state = NodeState.RUNNING
        self.services.maintenance.start()

    def close(self, *, hand_over: bool = True) -> None:
        """Stop the node, free everything and end all waiting calls with NodeClosed. Idempotent.

        First it hands over values that would have too few replicas, for at most
        ``Params.handover_timeout`` seconds, and sends a leave notice to its contacts. Without
        ``hand_over`` it stops immediately; this also ends the handover of another greenlet.
        """
        parts, lifecycle = self.services, self._lifecycle
        if lifecycle.state is NodeState.CLOSING:
            if not hand_over:
                parts.handover.abort()
            return
        was_running = lifecycle.state is NodeState.RUNNING
        lifecycle.state = NodeState.CLOSING
        parts.maintenance.close()
        parts.read_repair.close()
        parts.watcher.close()
        parts.lease_holder.close()
        try:
            if hand_over and was_running and not self._context.read_only:
                parts.store_handlers.refuse_new()
                parts.handover.run()
        finally:
            parts.liveliness.close()
            parts.server.close()
            parts.client.close()
            self._context.transport.close()
            lifecycle.closed.set()

    def __enter__(self) -> Node:
        """Start, and wait until the first attempt to join has ended."""
        self.start()
        try:
            self.wait_joined()
        except BaseException:  # __exit__ is not called after an exception here
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait_joined(self, timeout: float | None = None) -> bool:
        """Block until the node has joined, and return whether it has.

        Without ``timeout``, wait for the end of the first attempt. NodeClosed before ``start``.
        """
        if self._lifecycle.state is NodeState.NEW:
            raise NodeClosed("the node is not started")
        joiner = self.services.maintenance.joiner
        wait = joiner.first_attempt_done.wait if timeout is None else joiner.wait
        wait(timeout)
        return self.joined

    def wait_closed(self) -> None:
        """Block until ``close`` has finished."""
        self._lifecycle.closed.wait()

    def add_peers(self, endpoints: Iterable[Endpoint]) -> None:
        """Contact further nodes, given as (IP address, port).

        The node joins through them, or looks up its neighbourhood through them, so that two
        networks become one. Blocks meanwhile.

        Raises:
            ValueError: an address is not an IP address, or a link-local one.
            NodeClosed, TooManyCalls: see ``add``.
        """
        self._lifecycle.require_open()
        addresses = [(global_address(addr)[0], port) for addr, port in endpoints]
        self.services.client.gate.configure(addresses)
        self.services.maintenance.joiner.add_peers(addresses)

    # State

    @property
    def id(self) -> bytes:
        """The node's id, 20 bytes."""
        return self._context.id

    @property
    def contact(self) -> Contact:
        """The node's address, port and id; ValueError before a node with port 0 is started.

        A node bound to all addresses shows the address that several networks see.
        """
        local, external = self._context.local_contact, self._context.status.external_address
        if external is None or any(local.address_bytes):
            return local
        return self._context.pool.intern(*external, local.id)

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port to which the node is bound."""
        return self._context.transport.local_endpoint

    @property
    def joined(self) -> bool:
        """Whether the node is part of a network; always true without bootstrap addresses."""
        return self._lifecycle.joined

    @property
    def closed(self) -> bool:
        """Whether ``close`` has finished."""
        return self._lifecycle.closed.is_set()

    @property
    def healthy(self) -> bool:
        """Whether the node, its maintenance and its store work; if not, restart the program."""
        return self._lifecycle.healthy

    @property
    def reachable(self) -> bool | None:
        """Whether peers can reach the node uninvited; None while unknown, and for a client."""
        return self._context.status.reachable

    @property
    def now(self) -> float:
        """The time of the node's clock, by which its table and store measure."""
        return self._context.clock()

    @property
    def params(self) -> Params:
        """The node's parameters."""
        return self._context.params

    @property
    def table(self) -> RoutingTable:
        """The routing table, for reading."""
        return self._context.table

    @property
    def datastore(self) -> Store:
        """The values that the node keeps for the network."""
        return self._context.store

    def stats(self) -> dict[str, Any]:
        """Return all counters, and figures of the node's state."""
        context = self._context
        return context.stats.snapshot(context.clock()) | {
            "contacts": len(context.table),
            "values": len(context.store),
            "evicted": context.store.evicted_count,
            "calls_in_flight": len(self.services.client),
            "network_size": self.network_size(),
            "republish_lag": self.services.republisher.lag(),
            "reachable": self.reachable,
            "build": build_name(),
        }

    def calls_in_flight(self) -> dict[str, int]:
        """Return the number of calls without a reply yet, by RPC."""
        return dict(self.services.client.in_flight_by_rpc())

    def network_size(self) -> int:
        """Return an estimate of the number of nodes in the network, including this one."""
        return self.services.lookups.network_size()

    def timings(self) -> LatencyHistograms:
        """Return histograms of round trips and lookups, collected since the first call."""
        observers = self._context.observers
        if observers.latency_histograms is None:
            observers.latency_histograms = LatencyHistograms()
        return observers.latency_histograms

    def observe(self, observer: Observer) -> None:
        """Notify an observer of events from now on; each call then costs some microseconds."""
        self._context.observers.add(observer)

    def unobserve(self, observer: Observer) -> None:
        """Stop notifying an observer; an unknown one is ignored."""
        self._context.observers.discard(observer)

    def _run(self, part: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return method(getattr(self, part), *args, **kwargs)
