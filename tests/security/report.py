"""The packets of a plan as text."""

from __future__ import annotations

from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.errors import WireError
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.security import gate, target
from tests.security.places import NODE
from tests.security.plans import Plan

_MAX_LINES = 60
_MAX_HEX_BYTES = 200


def describe(plan: Plan, *, is_validated: bool) -> str:
    """Return the packets of the attacker, and what the node sent because of them."""
    trace = target.run(plan, is_validated=is_validated)
    caused = target.caused_bytes(plan, trace)
    broken = {each.datagram: each.rule for each in gate.violations(trace)}
    lines = [
        f"the attacker sent {trace.attacker_bytes:,} bytes, the node {caused:,} because of them"
        f" (in {trace.seconds:.0f} s{', with upkeep' if plan.has_upkeep else ''}):"
    ]
    for each in trace.datagrams[:_MAX_LINES]:
        sides = f"{_name(each.source)} > {_name(each.destination)}"
        line = f"{each.at:9.3f}  {sides:44} {len(each.data):6,}  {_kind(each.data)}"
        if each in broken:
            line += f"  [{broken[each]}]"
        lines.append(line)
        if each.source != NODE:
            rest = f" and {len(each.data) - _MAX_HEX_BYTES} bytes more"
            is_long = len(each.data) > _MAX_HEX_BYTES
            lines.append(f"           {each.data[:_MAX_HEX_BYTES].hex()}{rest if is_long else ''}")
    if len(trace.datagrams) > _MAX_LINES:
        lines.append(f"           … {len(trace.datagrams) - _MAX_LINES} datagrams more")
    return "\n".join(lines)


def _name(endpoint: Endpoint) -> str:
    return "the node" if endpoint == NODE else format_endpoint(endpoint)


def _kind(data: bytes) -> str:
    try:
        packet = packets.decode(data)
    except WireError as error:
        return str(error.reason)
    if isinstance(packet, Request):
        return packet.name.decode(errors="replace")
    return f"response {packet.packet_type}"
