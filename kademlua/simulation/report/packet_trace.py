"""Writes a trace: each packet of a run as a line of JSON.

A line is a packet, in the order of arrival or loss, or the start or end of an operation:

    {"t": 61.2, "sent": 61.15, "from": "10.0.0.1:4000", "to": "10.0.0.9:4000",
     "outcome": "delivered", "bytes": 88, "rpc": "5f…", "call": 1, "name": "findnode", "key": "a1…"}
    {"t": 61.3, …, "call": 129, "closest": ["10.0.0.3:4000", …]}
    {"t": 61.1, "operation": 17, "kind": "lookup", "node": "10.0.0.1:4000", "key": "a1…",
     "seeds": ["10.0.0.9:4000", …]}
    {"t": 61.9, "operation": 17, …, "ok": true, "hops": 3, "rpcs": 38}

``lookup_tree`` reads traces.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kademlua.core.contact import ALL_FAMILIES, ContactPool, Endpoint, format_endpoint
from kademlua.core.errors import WireError
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.nodes.operation import WorkloadOperation, lookup_seeds

_MAX_REMEMBERED = 100_000


class TraceWriter:
    """Writes the trace of one run to an open file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._pool = ContactPool()
        # Send times of packets in flight; two generations bound the memory of lost packets.
        self._recent: dict[bytes, float] = {}
        self._older: dict[bytes, float] = {}

    def record_sent(self, datagram: bytes) -> None:
        """Record the time at which a node sends a packet."""
        if len(self._recent) >= _MAX_REMEMBERED:
            self._older, self._recent = self._recent, {}
        self._recent[datagram] = virtual_now()

    def write_packet(
        self, now: float, source: Endpoint, destination: Endpoint, datagram: bytes, outcome: str
    ) -> None:
        """Write the line of a packet that arrived or was lost."""
        line: dict[str, Any] = {
            "t": round(now, 6),
            "sent": round(self._recent.get(datagram) or self._older.get(datagram, now), 6),
            "from": format_endpoint(source),
            "to": format_endpoint(destination),
            "outcome": outcome,
            "bytes": len(datagram),
        }
        self._write_line(line | self._describe(datagram))

    def write_operation(
        self, operation: WorkloadOperation, member: PopulationMember, key: bytes
    ) -> None:
        """Write the line of an operation that begins or ends."""
        line: dict[str, Any] = {
            "t": round(virtual_now(), 6),
            "operation": operation.number,
            "kind": operation.kind,
            "node": format_endpoint(member.endpoint),
            "key": key.hex(),
        }
        if math.isnan(operation.ended_at):
            assert member.node is not None
            line["seeds"] = [format_endpoint(each) for each in lookup_seeds(member.node, key)]
        else:
            line |= {"ok": operation.ok, "hops": operation.hops, "rpcs": operation.query_count}
            if operation.failure_reason:
                line["why"] = operation.failure_reason
            if not math.isnan(operation.recall):
                line["recall"] = round(operation.recall, 4)
        self._write_line(line)

    def _describe(self, datagram: bytes) -> dict[str, Any]:
        try:
            packet = packets.decode(datagram)
            if isinstance(packet, Request):
                fields: dict[str, Any] = {"rpc": packet.rpc_id.hex(), "call": packets.REQUEST}
                fields["name"] = packet.name.decode("ascii", "replace")
                if packet.args and type(packet.args[0]) is bytes:
                    fields["key"] = packet.args[0].hex()
                return fields
            fields = {"rpc": packet.rpc_id.hex(), "call": packet.packet_type}
            values = packets.decode_values(packet.payload) if packet.payload else []
        except WireError as error:
            return {"bad": error.reason}
        if values and isinstance(values[0], (dict, list)):
            try:
                contacts = replies.decode_findnode_reply(values, self._pool, ALL_FAMILIES)
            except WireError:
                return fields
            fields["closest"] = [format_endpoint(contact.endpoint) for contact in contacts]
            if isinstance(values[0], dict) and values[0].get(b"retval"):
                fields["values"] = len(values[0][b"retval"])
        return fields

    def _write_line(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


@contextmanager
def open_writer(path: Path | None) -> Iterator[TraceWriter | None]:
    """Open a trace file and close it at the end; yield None without a path."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield TraceWriter(file)
