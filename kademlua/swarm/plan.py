"""Which node on which port in which worker, and what a worker is told of it. All pure."""

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

CONTROL_PORT = 8001
FIRST_PORT = 8003

LAST_PORT = 65_535
SwarmEvent: TypeAlias = tuple[str, dict[str, Any]]
"""What happened: a name, and what JSON has."""

_LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class PlanError(KademluaError, ValueError):
    """A swarm that can't be: too many ports, or one of them needed twice."""


def node_id(port: int) -> bytes:
    """The id of a swarm's node on a port."""
    return sha1(str(port))


def control_endpoint(host: str) -> Endpoint:
    """Where the control node of a swarm on ``host`` is looked for, unless told otherwise."""
    return _LOOPBACK_OF_ANY.get(host, host), CONTROL_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A swarm as it shall be; raises PlanError where it can't be.

    ``host`` is an IP address of this machine, and ``bootstrap`` the IP address and port of
    a node of the network to join.
    """

    node_count: int
    worker_count: int
    host: str = "127.0.0.1"
    first_port: int = FIRST_PORT
    bootstrap: Endpoint = ("127.0.0.1", CONTROL_PORT)
    data_dir: str = ""
    """Where each node keeps its data, in a directory of its port's name; nowhere if empty."""
    network_keys: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.node_count < 1 or self.worker_count < 1 or not 0 < self.first_port <= LAST_PORT:
            raise PlanError("a swarm has at least one node, one worker and one port")
        try:
            host, addr = (canonical_address(each)[0] for each in (self.host, self.bootstrap[0]))
        except ValueError as error:
            raise PlanError(str(error)) from None
        if self.ports.stop - 1 > LAST_PORT:
            capacity = LAST_PORT - self.first_port + 1
            raise PlanError(
                f"{self.node_count:,} nodes from port {self.first_port} on would go beyond port"
                f" {LAST_PORT:,}: {capacity:,} fit"
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
        """The ports of all nodes."""
        return range(self.first_port, self.first_port + self.node_count)

    @property
    def files_per_node(self) -> int:
        """Open files that a node needs: its socket, and for its data a lock and two files that
        LMDB opens twice."""
        return 6 if self.data_dir else 1

    @property
    def worker_ports(self) -> list[range]:
        """The ports of each worker: neighbours in a row, as many for each but for one.

        There are never more workers than nodes.
        """
        worker_count = min(self.worker_count, self.node_count)
        bounds = [
            self.first_port + self.node_count * each // worker_count
            for each in range(worker_count + 1)
        ]
        return [range(low, high) for low, high in itertools.pairwise(bounds)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What one worker is told: its first line of input."""

    host: str
    first_port: int
    node_count: int
    bootstrap: Endpoint
    log_dir: str
    data_dir: str = ""
    network_keys: tuple[bytes, ...] = field(default=(), repr=False)

    def to_line(self) -> bytes:
        """One line of JSON."""
        fields = dataclasses.asdict(self)
        fields["network_keys"] = [key.hex() for key in self.network_keys]
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> WorkerConfig:
        """The order in a line of JSON from the launcher."""
        fields = json.loads(line)
        host, port = fields.pop("bootstrap")
        network_keys = tuple(map(bytes.fromhex, fields.pop("network_keys")))
        return cls(bootstrap=(host, port), network_keys=network_keys, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker tells: how many of its nodes have joined, or why it can't go on; and
    where somebody listens, what happens among them."""

    joined_count: int = 0
    error: str = ""
    events: list[SwarmEvent] = field(default_factory=list)
    """Which nodes came and went, and their lookups, if wanted."""
    totals: dict[str, int] = field(default_factory=dict)
    """Counters of all its nodes together since it began, each second, if wanted."""

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> WorkerReport:
        """The report in a line of JSON from a worker."""
        fields = json.loads(line)
        events = [(name, data) for name, data in fields.pop("events")]
        return cls(events=events, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """What a worker is told while it runs: a line of its input after the first."""

    action: Literal["kill", "join", "watch", "unwatch"]
    port: int = 0
    """Which node is to be killed, or to come."""
    max_reported_per_second: int = 0
    """Lookups to tell of in a second, at most."""
    generated_per_second: float = 0.0
    """Lookups to make in a second, about."""

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> WorkerCommand:
        """The command in a line of JSON from the launcher."""
        return cls(**json.loads(line))


def format_ports(ports: Sequence[int]) -> str:
    """``port 8003``, ``ports 8003, 8004``, ``ports 8003, 8004, 8005 and 97 more``."""
    shown = ", ".join(map(str, ports[:3]))
    rest = f" and {len(ports) - 3} more" if len(ports) > 3 else ""
    return f"port{'s' * (len(ports) > 1)} {shown}{rest}"
