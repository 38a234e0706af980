"""The plan of a swarm, and the messages between launcher and workers. Pure."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.core.errors import KademluaError
from kademlua.core.ids import sha1
from kademlua.swarm.inventory import InventoryReport

CONTROL_PORT = 8001
FIRST_PORT = 8003

LAST_PORT = 65_535
SwarmEvent: TypeAlias = tuple[str, dict[str, Any]]
"""A name, and fields in JSON form."""

_LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class PlanError(KademluaError, ValueError):
    """An impossible plan, such as too many ports or a port used twice."""


def node_id(port: int) -> bytes:
    """Return the id of the swarm's node on a port: the SHA-1 of its digits."""
    return sha1(str(port))


def control_endpoint(host: str) -> Endpoint:
    """Return the default endpoint of the control node of a swarm on ``host``."""
    return _LOOPBACK_OF_ANY.get(host, host), CONTROL_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The nodes and workers of a swarm.

    ``host`` is an IP address of this machine. ``bootstrap`` is the endpoint of a node to join.

    Raises:
        PlanError: the plan is impossible.
    """

    node_count: int
    worker_count: int
    host: str = "127.0.0.1"
    first_port: int = FIRST_PORT
    bootstrap: Endpoint = ("127.0.0.1", CONTROL_PORT)
    data_dir: str = ""
    """Directory of the nodes' data, one subdirectory per port; empty: in memory."""
    log_dir: str = ""
    """Directory of the log files; set in the plan of one worker."""
    network_keys: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.node_count < 1 or self.worker_count < 1 or not 0 < self.first_port <= LAST_PORT:
            raise PlanError(
                "a swarm needs at least one node and one worker, and a valid first port"
            )
        try:
            host, addr = (canonical_address(each)[0] for each in (self.host, self.bootstrap[0]))
        except ValueError as error:
            raise PlanError(str(error)) from None
        if self.ports.stop - 1 > LAST_PORT:
            capacity = LAST_PORT - self.first_port + 1
            raise PlanError(
                f"{self.node_count:,} nodes from port {self.first_port} exceed port {LAST_PORT:,}:"
                f" {capacity:,} fit"
            )
        if host != "::" and (":" in host) != (":" in addr):
            raise PlanError(f"nodes on {host} can't reach {addr}: one is IPv4, the other IPv6")
        if self.bootstrap[1] in self.ports and addr in (host, _LOOPBACK_OF_ANY.get(host)):
            raise PlanError(
                f"port {self.bootstrap[1]} of the bootstrap address is one of the swarm's own:"
                f" {self.ports.start} to {self.ports.stop - 1}"
            )

    @property
    def ports(self) -> range:
        """Ports of all nodes."""
        return range(self.first_port, self.first_port + self.node_count)

    @property
    def files_per_node(self) -> int:
        """Open files per node: its socket, and for data a lock and two files that LMDB opens
        twice."""
        return 6 if self.data_dir else 1

    @property
    def worker_ports(self) -> list[range]:
        """Consecutive ports of each worker; their numbers differ by at most one. There are never
        more workers than nodes."""
        worker_count = min(self.worker_count, self.node_count)
        bounds = [
            self.first_port + self.node_count * each // worker_count
            for each in range(worker_count + 1)
        ]
        return [range(low, high) for low, high in itertools.pairwise(bounds)]

    @classmethod
    def from_line(cls, line: bytes) -> Plan:
        """Parse the plan of one worker, its first line of input.

        It has the nodes of this worker, and the ``worker_count`` of the whole swarm.
        """
        fields = json.loads(line)
        host, port = fields.pop("bootstrap")
        network_keys = tuple(map(bytes.fromhex, fields.pop("network_keys")))
        return cls(bootstrap=(host, port), network_keys=network_keys, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """A report of a worker: the number of joined nodes, an error, and recorded events."""

    joined_count: int = 0
    error: str = ""
    events: list[SwarmEvent] = field(default_factory=list)
    """Joins and exits of nodes, and lookups while they are recorded."""
    totals: dict[str, int] = field(default_factory=dict)
    """Sums of the nodes' counters since the start, each second while lookups are recorded."""
    lag_seconds: float = 0.0
    """The longest delay of the worker's event loop in that second."""
    inventory: InventoryReport | None = None
    """What the nodes hold, every few seconds while lookups are recorded."""

    @classmethod
    def from_line(cls, line: bytes) -> WorkerReport:
        """Parse a line of JSON from a worker."""
        fields = json.loads(line)
        events = [(name, data) for name, data in fields.pop("events")]
        inventory = fields.pop("inventory")
        if inventory is not None:
            inventory = InventoryReport.from_json(inventory)
        return cls(events=events, inventory=inventory, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """A command to a worker: a line of its input after the first."""

    action: Literal["kill", "join", "watch", "unwatch"]
    port: int = 0
    """Port of the node to kill or start."""

    @classmethod
    def from_line(cls, line: bytes) -> WorkerCommand:
        """Parse a line of JSON from the launcher."""
        return cls(**json.loads(line))


def encode_line(message: Plan | WorkerReport | WorkerCommand) -> bytes:
    """Return a message as a line of JSON, which its ``from_line`` parses."""
    return json.dumps(dataclasses.asdict(message), default=bytes.hex).encode() + b"\n"


def format_ports(ports: Sequence[int]) -> str:
    """``port 8003``, ``ports 8003, 8004``, ``ports 8003, 8004, 8005 and 97 more``."""
    shown = ", ".join(map(str, ports[:3]))
    rest = f" and {len(ports) - 3} more" if len(ports) > 3 else ""
    return f"port{'s' * (len(ports) > 1)} {shown}{rest}"
