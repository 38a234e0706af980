"""The handlers of the routes of a swarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NotRequired, TypedDict

import falcon
from msgspec import UNSET

from kademlua.http.event_stream import swarm_frames
from kademlua.http.resources import dump_rows
from kademlua.http.route import ApiRequest
from kademlua.swarm.members import Member, Members, SwarmRefusal


class MemberJson(TypedDict):
    """A node of a swarm."""

    id: str
    port: int
    joined: bool
    is_control: bool


class MemberDetailsJson(MemberJson):
    """A node of a swarm with its figures, which are absent until a stream of events is open."""

    address: str
    age_seconds: NotRequired[int]
    contacts: NotRequired[int]
    values: NotRequired[int]
    packets_in: NotRequired[int]
    packets_out: NotRequired[int]
    dropped: NotRequired[int]


class SwarmJson(TypedDict):
    """The nodes of a swarm."""

    nodes: list[MemberDetailsJson]


class HeldKeyJson(TypedDict):
    """A key, and the ports of the nodes that hold values of it."""

    key: str
    holders: list[int]


class SwarmValuesJson(TypedDict):
    """The keys that a swarm holds, those with the fewest copies first, and those that it lost."""

    replicas: int
    """The number of copies that the swarm wants."""
    count: int
    """The number of all keys."""
    values: list[HeldKeyJson]
    lost: list[str]


def stream_swarm_events(request: ApiRequest) -> Iterator[bytes]:
    """Return a stream of the events of a swarm."""
    return request.services.event_streams.open(swarm_frames(request.services.swarm))


def list_swarm(request: ApiRequest) -> bytes:
    """Return a ``SwarmJson``."""
    return b'{"nodes": [%b]}' % dump_rows(request, request.services.swarm.nodes_json())


def list_swarm_values(request: ApiRequest) -> SwarmValuesJson:
    """Return the holders of keys."""
    hub = request.services.swarm
    inventory = hub.inventory
    holders = inventory.holders
    shown = list(holders.items())[: request.query.limit]
    return {
        "replicas": min(request.node.params.replicas, hub.node_count),
        "count": len(holders),
        "values": [{"key": key, "holders": ports} for key, ports in shown],
        "lost": inventory.lost_keys,
    }


def kill_node(members: Members, query: Any) -> Member:
    """Kill the node on the requested port, or a random one."""
    return members.kill(None if query.port is UNSET else query.port)


def start_node(members: Members, query: Any) -> Member:
    """Start a node."""
    return members.start()


def change_swarm(
    change: Callable[[Members, Any], Member],
) -> Callable[[ApiRequest], dict[str, Any]]:
    """Return a handler that kills or starts a node and returns its ``MemberJson``."""

    def handle(request: ApiRequest) -> dict[str, Any]:
        try:
            return change(request.services.swarm.members, request.query).json()
        except SwarmRefusal as error:
            raise falcon.HTTPConflict(description=str(error)) from None

    return handle
