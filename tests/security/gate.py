"""What a node may send to third parties that never replied to it, whatever validated peers say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.security.places import FORBIDDEN, THIRD_PARTIES
from tests.security.target import Datagram, Trace

MAX_QUERY_BYTES = 300
MAX_DATAGRAMS = 2
"""A query and its retransmission, in ``WINDOW`` seconds."""
WINDOW = 60.0
_FORBIDDEN = frozenset(FORBIDDEN)
_THIRD_PARTIES = frozenset(THIRD_PARTIES)


class Rule(StrEnum):
    """What must not happen."""

    FORBIDDEN = "a datagram to a loopback, private, multicast or reserved address, or port 0"
    VALUE = "a value to an endpoint that never replied"
    SIZE = f"a datagram of more than {MAX_QUERY_BYTES} bytes to an endpoint that never replied"
    RATE = f"more than {MAX_DATAGRAMS} datagrams in {WINDOW:.0f} s to one that never replied"


@dataclass(frozen=True, slots=True)
class Violation:
    """A datagram that breaks a rule."""

    rule: Rule
    datagram: Datagram


def violations(trace: Trace) -> list[Violation]:
    """Return what a node sent to third parties against the rules."""
    found = []
    sent_at: dict[Endpoint, list[float]] = {}
    for each in trace.sent_by_node:
        if each.destination not in _THIRD_PARTIES:
            continue
        recent = sent_at.setdefault(each.destination, [])
        recent[:] = [at for at in recent if each.at - at < WINDOW] + [each.at]
        packet = packets.decode(each.data)
        if each.destination in _FORBIDDEN:
            found.append(Violation(Rule.FORBIDDEN, each))
        if isinstance(packet, Request) and packet.name == b"store":
            found.append(Violation(Rule.VALUE, each))
        if len(each.data) > MAX_QUERY_BYTES:
            found.append(Violation(Rule.SIZE, each))
        if len(recent) > MAX_DATAGRAMS:
            found.append(Violation(Rule.RATE, each))
    return found
