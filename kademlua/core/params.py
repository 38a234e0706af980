"""Params: all parameters of a node, in one frozen dataclass that checks them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kademlua.core.errors import ParamsError

TIMES = frozenset(
    {
        *("bootstrap_retry", "bootstrap_retry_max", "cache_ttl", "dead_quarantine", "find_timeout"),
        *("freshness_window", "handover_timeout", "maintenance_interval", "max_ttl"),
        *("min_probe_rto", "min_rto", "refresh_interval", "replicate_interval"),
        *("republish_interval", "rpc_timeout", "ttl"),
    }
)
"""The parameters that are times, in seconds."""


def _bounded(default: float, low: float, high: float) -> Any:
    """Return a field with a default and the range that its values must have."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """A node's parameters. Times are in seconds, sizes in bytes.

    ``Params(k=8)`` and ``Params.from_mapping({"k": 8})`` raise ParamsError, which names the field,
    for a value of the wrong type or out of range. k and alpha are those of the Kademlia paper.
    """

    # Constants of the network, on which its nodes should agree
    k: int = _bounded(20, 1, 64)
    """Contacts in a k-bucket and in a findnode reply."""
    alpha: int = _bounded(3, 1, 100)
    """Queries that a lookup keeps in flight."""
    replicas: int = _bounded(20, 1, 1_000)
    """Nodes that store a value: the closest ones to its key."""

    # Calls
    rpc_timeout: float = _bounded(1.5, 0.01, 60)
    """Seconds until a call without a reply fails; also the first RTO of an unknown path."""
    min_rto: float = _bounded(0.001, 0.001, 60)
    """Lower bound of the RTO in lookups and stores, in seconds."""
    max_calls: int = _bounded(8_192, 1, 1_000_000)
    """Calls in flight; further ones raise TooManyCalls."""
    max_handlers: int = _bounded(256, 1, 100_000)
    """Requests in blocking handlers; further ones are dropped and counted."""

    # Liveliness
    freshness_window: float = _bounded(300, 0.1, 86_400)
    """Seconds after a packet during which a contact counts as alive (weak liveliness)."""
    dead_quarantine: float = _bounded(120, 0, 86_400)
    """Seconds during which a dead contact is not queried, unless it sends a packet."""
    probe_tries: int = _bounded(3, 1, 10)
    """Pings, each with twice the timeout of the one before, until a contact is dead (strong
    liveliness)."""
    min_probe_rto: float = _bounded(0.05, 0.001, 60)
    """Lower bound of the first of these timeouts, in seconds: a busy node is not dead."""
    probe_rate: float = _bounded(100, 0.1, 100_000)
    """Probes per second, including those of unvalidated peers."""
    max_probes: int = _bounded(256, 1, 100_000)
    """Probes in flight or queued; further unknown peers are ignored."""

    # Rate limits and unvalidated peers
    request_time_per_subnet: float = _bounded(0.02, 1e-5, 1_000)
    """Seconds per second that serving the requests of one subnet (IPv4 /24, IPv6 /48) may take;
    twice as many in a burst. A request counts as at least 20 µs."""
    store_bytes_per_subnet: float = _bounded(500_000, 1, 10**12)
    """Bytes per second of the stores and removes of one subnet; each counts as at least 5,000."""
    unvalidated_request_time: float = _bounded(0.04, 1e-5, 1_000)
    """Seconds per second that serving the requests of all unvalidated senders together may take."""
    unvalidated_store_bytes: float = _bounded(2_500_000, 1, 10**12)
    """Bytes per second of the stores and removes of all unvalidated senders together."""
    exempt_private: bool = True
    """Whether loopback and private addresses are exempt from subnet limits. Rate limits then apply
    to each of their endpoints, with twenty times the rate, and only while the node has a
    backlog; in a private network to all endpoints."""
    max_deferred: int = _bounded(256, 1, 100_000)
    """Requests that wait until their senders' addresses are validated, and pings per second for
    that."""

    client_if_unreachable: bool = True
    """Whether a node that peers cannot reach (NAT) becomes a client until that changes; otherwise
    it only logs a warning."""

    # Sybil limits
    subnet_limit_bucket: int = _bounded(2, 1, 1_000_000)
    """Contacts of one subnet in a bucket of the routing table, if other contacts need the slots."""
    subnet_limit_table: int = _bounded(10, 1, 1_000_000)
    """Contacts of one subnet in the routing table, if other contacts need the slots."""
    subnet_limit_lookup: int = _bounded(3, 1, 1_000_000)
    """Contacts of one subnet that a lookup queries, if there are enough others."""
    max_id_density: float = _bounded(4, 2, 1e9)
    """Highest density of ids, as a multiple of the average of a network of this size. Denser
    contacts (a Sybil cluster) are ignored in lookups and near the own id."""
    bep42_ids: bool = False
    """Whether contacts must have ids that fit their addresses (BEP 42), except private ones. All
    nodes of a network must agree on it."""
    disjoint_paths: int = _bounded(1, 1, 16)
    """Disjoint paths of lookups and stores, unless the caller says otherwise."""

    # Values
    ttl: float = _bounded(86_400, 1, 31_536_000)
    """Seconds that a value lives if its owner sets no TTL."""
    max_ttl: int = _bounded(2_592_000, 1, 31_536_000)
    """Longest TTL that is granted, in seconds; longer ones are reduced to it."""
    write_quorum: int = _bounded(1, 1, 1_000)
    """Nodes that must store a value; with fewer, the operation raises StoreFailed."""
    replicate_interval: float = _bounded(3_600, 1, 604_800)
    """Seconds after which one of the holders of a value replicates it to the others."""
    republish_interval: float = _bounded(21_600, 1, 31_536_000)
    """Seconds after which an owner stores a published value again; half of its TTL if that is
    less."""
    replication_bytes_per_second: int = _bounded(65_536, 100, 1 << 30)
    """Bytes per second that upkeep sends: replication, republishing, their retransmissions and
    lookups; a short burst may be faster."""
    handover_timeout: float = _bounded(5, 0, 3_600)
    """Seconds that a closing node may spend on handing over its values."""
    cache_ttl: float = _bounded(0, 0, 3_600)
    """Seconds that the closest queried node without a value may cache it; half as long for each
    doubling of its distance. 0: no caching."""
    max_value_bytes: int = _bounded(15_000, 1, 60_000)
    """Size of a value, bencoded. The original cannot receive packets over 16,384 bytes."""
    max_entries: int = _bounded(65_536, 0, 1_000_000_000)
    """Values that a node keeps for others. When there are as many, subnets above their fair share
    yield to those below it."""
    max_entries_per_key: int = _bounded(1_024, 1, 1_000_000_000)
    """Owners of one key; further ones are refused."""
    subnet_limit_key: int = _bounded(64, 1, 1_000_000_000)
    """Values of one key from one subnet; further ones are refused."""
    max_stored_bytes: int = _bounded(67_108_864, 0, 1 << 50)
    """Bytes of all values that a node keeps, each with an overhead of 2,400; limited likewise."""
    max_entries_per_address: int = _bounded(32_768, 0, 10**9)
    """Values that one IP address (of IPv6: one /64) sent; further ones are refused."""
    max_bytes_per_address: int = _bounded(33_554_432, 0, 1 << 50)
    """Bytes of values that one IP address (of IPv6: one /64) sent, with the overhead; further ones
    are refused."""
    max_reply_bytes: int = _bounded(1_200, 600, 60_000)
    """Size of a findnode or findvalue reply, so that it passes unfragmented; a single value may be
    larger."""
    overwrite_drops_others: bool = False
    """Whether an overwriting store removes other owners' values of the key, as in the original."""

    # Finds
    max_find_bytes: int = _bounded(2_097_152, 1, 1 << 40)
    """Bytes of all values that one find accepts, and 64 for each of their parts. Each of the wanted
    nodes has an equal share."""
    find_timeout: float = _bounded(10, 0.01, 3_600)
    """Seconds after which a find or a lookup of nodes returns what it has found."""

    # Maintenance
    refresh_interval: float = _bounded(3_600, 1, 604_800)
    """Seconds without a lookup after which a bucket is refreshed."""
    maintenance_interval: float = _bounded(10, 0.1, 86_400)
    """Seconds between two rounds of maintenance."""
    bootstrap_retry: float = _bounded(1, 0.01, 3_600)
    """Seconds after a failed attempt to join; doubled after each attempt."""
    bootstrap_retry_max: float = _bounded(20, 0.01, 86_400)
    """Longest time between two attempts to join, in seconds."""

    # Transport
    receive_batch: int = _bounded(64, 1, 10_000)
    """Datagrams that the event loop processes before other greenlets run."""
    receive_buffer_bytes: int = _bounded(1_048_576, 4_096, 1 << 30)
    """Receive buffer requested for the UDP socket."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            _check(spec, getattr(self, spec.name))
        if self.bootstrap_retry_max < self.bootstrap_retry:
            raise ParamsError("bootstrap_retry_max: must not be below bootstrap_retry")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Params:
        """Return parameters with the fields of a mapping, such as a TOML table."""
        field_names = {spec.name for spec in dataclasses.fields(cls)}
        for name in mapping:
            if name not in field_names:
                raise ParamsError(f"{name}: no such parameter")
        return cls(**mapping)  # type: ignore[arg-type]  # __post_init__ checks the types

    def replace(self, **changes: object) -> Params:
        """Return a copy with some fields changed, checked like new parameters."""
        return Params.from_mapping(dataclasses.asdict(self) | changes)

    @classmethod
    def v10(cls) -> Params:
        """Return parameters with the behaviour of the 2009 program: values live 120 s, overwriting
        drops all."""
        return cls(ttl=120, overwrite_drops_others=True)


def _check(spec: dataclasses.Field[Any], value: object) -> None:
    """Raise ParamsError unless ``value`` has the field's type and is in its range."""
    kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
    kind = str(spec.type)
    if not isinstance(value, kinds[kind]) or (kind != "bool" and isinstance(value, bool)):
        expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
        raise ParamsError(f"{spec.name}: must be {expected}, not {value!r:.60}")
    if kind != "bool":
        low, high = spec.metadata["low"], spec.metadata["high"]
        assert isinstance(value, (int, float))
        if math.isnan(value) or not low <= value <= high:
            raise ParamsError(f"{spec.name}: must be {low:,} to {high:,}, not {value!r:.60}")
