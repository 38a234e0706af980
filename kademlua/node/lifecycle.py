"""The states of a node, and the checks that each operation makes first."""

from __future__ import annotations

from enum import Enum

from gevent.event import Event

from kademlua.core.errors import NodeClosed, NotJoined
from kademlua.membership.maintenance import Maintenance
from kademlua.runtime.context import Context


class NodeState(Enum):
    """Where a node is between its construction and its end."""

    NEW = "new"
    RUNNING = "running"
    CLOSING = "closing"


class Lifecycle:
    """The state of one node."""

    __slots__ = ("_context", "_maintenance", "closed", "state")

    def __init__(self, context: Context, maintenance: Maintenance) -> None:
        self._context = context
        self._maintenance = maintenance
        self.state = NodeState.NEW
        self.closed = Event()
        """Set when ``Node.close`` has finished."""

    @property
    def joined(self) -> bool:
        """Whether the node is part of a network."""
        return self._maintenance.joiner.is_joined and self.state is not NodeState.CLOSING

    @property
    def healthy(self) -> bool:
        """Whether the node, its maintenance and its store work, or the node is closing."""
        if self.state is NodeState.RUNNING:
            return self._maintenance.check() and not self._context.store.damage
        return self.state is NodeState.CLOSING and not self.closed.is_set()

    def require_open(self) -> None:
        """Raise NodeClosed unless the node is running."""
        if self.state is NodeState.NEW:
            raise NodeClosed("the node is not started")
        if self.state is NodeState.CLOSING:
            raise NodeClosed("the node is closed")

    def require_joined(self) -> None:
        """Raise NodeClosed unless the node is running, NotJoined unless it knows a contact."""
        self.require_open()
        if not self.joined and not len(self._context.table):
            raise NotJoined("no node answers at the bootstrap addresses")
