"""Params: everything about a node that can be set, in one frozen, checked dataclass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kademlua.core.errors import ParamsError


def _bounded(default: float, low: float, high: float) -> Any:
    """A field's default with the bounds that it is held to."""
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """A node's parameters. Times are in seconds, sizes in bytes.

    ``Params(k=8)`` or ``Params.from_mapping({"k": 8})`` raise ParamsError, naming the
    field, for what is of the wrong type or out of range. The letters k and alpha are those
    of the Kademlia paper.
    """

    # The network's constants: nodes of one network should agree on them.
    k: int = _bounded(20, 1, 64)
    """Contacts in a k-bucket, and in the answer to a findnode."""
    alpha: int = _bounded(3, 1, 100)
    """Calls that a lookup keeps in flight."""
    replicas: int = _bounded(20, 1, 1_000)
    """Nodes on which a value is stored: the closest ones to its key."""

    # Calls.
    rpc_timeout: float = _bounded(1.5, 0.01, 60)
    """How long a call waits for its answer, and a first probe on an unknown path."""
    min_rto: float = _bounded(0.005, 0.001, 60)
    """The least time before a lookup looks elsewhere: no measured round trip makes it
    less patient than this. It costs a packet where the answer was on its way."""
    max_calls: int = _bounded(8_192, 1, 1_000_000)
    """Calls in flight at once; one more raises TooManyCalls."""
    max_handlers: int = _bounded(256, 1, 100_000)
    """Requests at once in blocking handlers; one more is dropped and counted."""

    # Liveliness.
    freshness_window: float = _bounded(300, 0.1, 86_400)
    """Weak liveliness: heard from within so many seconds, a contact counts as alive."""
    dead_quarantine: float = _bounded(120, 0, 86_400)
    """A contact that was found dead is not asked again in so many seconds, whoever tells of
    it, unless it is heard from."""
    probe_tries: int = _bounded(3, 1, 10)
    """Strong liveliness: pings, each twice as patient as the one before, until a contact
    is dead."""
    min_probe_rto: float = _bounded(0.05, 0.001, 60)
    """The least time for the first of these pings: who is only busy shall not count as dead."""
    probe_rate: float = _bounded(100, 0.1, 100_000)
    """Probes that may begin in a second, those of strangers included."""
    max_probes: int = _bounded(256, 1, 100_000)
    """Probes under way or waiting; further strangers are passed over."""

    # Strangers and floods.
    request_rate_per_subnet: float = _bounded(1_000, 1, 10_000_000)
    """Requests answered in a second to one IPv4 /24 or IPv6 /48; twice as many at once."""
    store_rate_per_subnet: float = _bounded(100, 1, 10_000_000)
    """Stores and removes of these."""
    unvalidated_request_rate: float = _bounded(2_000, 1, 10_000_000)
    """Requests answered in a second to all whose address is not verified, together."""
    unvalidated_store_rate: float = _bounded(500, 1, 10_000_000)
    """Stores and removes of these."""
    exempt_private: bool = True
    """Loopback and private addresses are apart: each endpoint is a source by itself, with twenty
    times the bound of one, and the four bounds above hold for it only while the node is behind
    with its work; and they are no crowd, however many of them are of one network."""
    max_deferred: int = _bounded(256, 1, 100_000)
    """Requests held back until their senders have proved their address, and pings sent for
    that in a second."""

    client_if_unreachable: bool = True
    """Whether a node that nobody reaches unasked (behind NAT) becomes a client until that changes;
    else it only says so."""

    # Crowds. A network is an IPv4 /24 or an IPv6 /48.
    subnet_limit_bucket: int = _bounded(2, 1, 1_000_000)
    """Contacts of one network in a bucket of the routing table."""
    subnet_limit_table: int = _bounded(10, 1, 1_000_000)
    """Contacts of one network in the whole routing table."""
    subnet_limit_lookup: int = _bounded(3, 1, 1_000_000)
    """Contacts of one network in the shortlist of a lookup."""
    max_id_density: float = _bounded(4, 2, 1e9)
    """How many times as near to each other as in a network of this size contacts may be on
    average; who is too many is passed over, in lookups and in the table next to the own id."""
    bep42_ids: bool = False
    """Whether only contacts whose ids are bound to their addresses (BEP 42) enter the table and
    lookups, loopback and private addresses apart. All nodes of a network must agree on it."""
    disjoint_paths: int = _bounded(1, 1, 16)
    """Disjoint paths on which finds and stores seek their nodes, where the program does not
    say; 1: one lookup."""

    # Values.
    ttl: float = _bounded(86_400, 1, 31_536_000)
    """How long a value lives where its owner does not say."""
    max_ttl: int = _bounded(2_592_000, 1, 31_536_000)
    """The longest time to live that is granted; longer ones are cut to it."""
    write_quorum: int = _bounded(1, 1, 1_000)
    """Nodes that must take a value; with fewer the store fails, and says so."""
    replicate_interval: float = _bounded(3_600, 1, 604_800)
    """Each value is handed on anew to those that should hold it, by one of its holders, once in
    so long."""
    republish_interval: float = _bounded(21_600, 1, 31_536_000)
    """A published value is stored anew by its owner after so long, or after half of its time to
    live, whichever is sooner."""
    replication_bytes_per_second: int = _bounded(65_536, 100, 1 << 30)
    """Bytes a second that replication sends at most; a short burst may be faster."""
    handover_timeout: float = _bounded(5, 0, 3_600)
    """How long a node that ends goes on to hand over what it holds."""
    cache_ttl: float = _bounded(0, 0, 3_600)
    """How long a value that was found is cached by the nearest node asked that lacked it, beside
    those that should hold it; half as long with each doubling of its distance. 0: never."""
    max_value_bytes: int = _bounded(15_000, 1, 60_000)
    """The largest value, bencoded. The original can't receive packets over 16,384."""
    max_entries: int = _bounded(65_536, 0, 1_000_000_000)
    """Values that a node keeps for others; further ones are refused."""
    max_entries_per_key: int = _bounded(1_024, 1, 1_000_000_000)
    """Owners of one key; further ones are refused."""
    max_stored_bytes: int = _bounded(67_108_864, 0, 1 << 50)
    """Bytes of all values that a node keeps; further ones are refused."""
    max_entries_per_address: int = _bounded(32_768, 0, 10**9)
    """Values whose owners have one IP address (of IPv6 the network's half of it); further ones
    are refused."""
    max_bytes_per_address: int = _bounded(33_554_432, 0, 1 << 50)
    """Bytes of values whose owners have one IP address (of IPv6 the network's half of it);
    further ones are refused."""
    max_reply_bytes: int = _bounded(1_200, 600, 60_000)
    """Bytes of a datagram that answers a findnode or findvalue, and so of one that passes
    everywhere unfragmented; one value alone may be larger."""
    overwrite_drops_others: bool = False
    """Whether an overwriting store drops other owners' values of the key too, as the
    original always did."""

    # Upkeep.
    refresh_interval: float = _bounded(3_600, 1, 604_800)
    """A bucket in which nothing was looked up for so long is refreshed."""
    maintenance_interval: float = _bounded(10, 0.1, 86_400)
    """The least time between two looks around after the network was seen to grow."""
    bootstrap_retry: float = _bounded(1, 0.01, 3_600)
    """The wait after a bootstrap that nobody answered; it doubles each time."""
    bootstrap_retry_max: float = _bounded(60, 0.01, 86_400)
    """The longest wait between two tries to bootstrap."""

    # Transport.
    receive_batch: int = _bounded(64, 1, 10_000)
    """Datagrams that the event loop takes before it lets others run."""
    receive_buffer_bytes: int = _bounded(1_048_576, 4_096, 1 << 30)
    """Receive buffer asked of the system for the UDP socket."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            _check(spec, getattr(self, spec.name))
        if self.bootstrap_retry_max < self.bootstrap_retry:
            raise ParamsError("bootstrap_retry_max: must not be below bootstrap_retry")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Params:
        """Params with the fields of a mapping, such as a TOML table, put in their place."""
        field_names = {spec.name for spec in dataclasses.fields(cls)}
        for name in mapping:
            if name not in field_names:
                raise ParamsError(f"{name}: no such parameter")
        return cls(**mapping)  # type: ignore[arg-type]  # __post_init__ checks the types

    def replace(self, **changes: object) -> Params:
        """A copy with some fields changed, checked like a new one."""
        return Params.from_mapping(dataclasses.asdict(self) | changes)

    @classmethod
    def v10(cls) -> Params:
        """The manners of the 2009 program: values live 120 s, overwriting drops all."""
        return cls(ttl=120, overwrite_drops_others=True)


def _check(spec: dataclasses.Field[Any], value: object) -> None:
    """Raise ParamsError unless ``value`` has the field's type and lies in its bounds."""
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
