"""The outgoing gate: what may be sent to whom, in limited memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.table import RoutingTable
from kademlua.core.security.outgoing_gate import OutgoingGate, Verdict
from kademlua.core.security.queried_endpoints import QUERY_INTERVAL, SKIP_SECONDS
from kademlua.core.security.validated_addresses import ValidatedAddresses

STRANGER = ("198.51.100.1", 4000)
CALL_SECONDS = 1.5


class Gate:
    """A gate with its clock, and the calls of the node that it protects."""

    def __init__(self, local_addr: str = "203.0.113.1") -> None:
        table = RoutingTable(bytes(20), 20, 0.0)
        self.validated = ValidatedAddresses(table)
        self.gate = OutgoingGate(table, self.validated, local_addr)
        self.now = 0.0

    def query(self, endpoint: Endpoint = STRANGER, *, is_authorized: bool = False) -> Verdict:
        return self._judge(endpoint, is_query=True, is_authorized=is_authorized)

    def store(self, endpoint: Endpoint = STRANGER, *, is_authorized: bool = False) -> Verdict:
        return self._judge(endpoint, is_query=False, is_authorized=is_authorized)

    def reply(self, endpoint: Endpoint = STRANGER) -> None:
        self.validated.mark(endpoint, self.now)
        self.gate.on_reply(endpoint)

    def fail(self, endpoint: Endpoint = STRANGER) -> None:
        """Let the call in flight time out."""
        self.now += CALL_SECONDS
        self.gate.on_timeout(endpoint, self.now)

    def _judge(self, endpoint: Endpoint, *, is_query: bool, is_authorized: bool) -> Verdict:
        return self.gate.judge(
            endpoint,
            self.now,
            self.now + CALL_SECONDS,
            is_query=is_query,
            is_authorized=is_authorized,
        )


def contact(addr: str) -> Contact:
    return Contact(addr, 4000, b"c" * 20)


def test_stranger_gets_one_query_and_one_retransmission_per_minute() -> None:
    gate = Gate()
    assert gate.query() is Verdict.SEND
    assert gate.query() is Verdict.WAIT
    assert gate.gate.may_retransmit(STRANGER, gate.now)
    assert not gate.gate.may_retransmit(STRANGER, gate.now)
    gate.fail()
    assert gate.query() is Verdict.REFUSE
    gate.now = QUERY_INTERVAL
    assert gate.query() is Verdict.SEND


def test_lookups_skip_it_for_two_minutes() -> None:
    gate, named = Gate(), [Contact(*STRANGER, b"s" * 20), contact("198.51.100.2")]
    gate.query()
    assert gate.gate.without_silent(named, gate.now) == named
    gate.gate.may_retransmit(STRANGER, gate.now)
    gate.fail()
    assert gate.gate.without_silent(named, gate.now) == named[1:]
    assert gate.gate.without_silent(named, SKIP_SECONDS) == named


def test_value_waits_for_the_reply_to_a_query() -> None:
    gate = Gate()
    assert gate.store() is Verdict.QUERY_FIRST
    assert gate.store() is Verdict.WAIT
    gate.reply()
    assert gate.store() is Verdict.SEND
    gate.now += 601
    assert gate.store() is Verdict.QUERY_FIRST


def test_silent_stranger_is_not_queried_again_for_the_next_value() -> None:
    gate = Gate()
    assert gate.store() is Verdict.QUERY_FIRST
    assert gate.gate.may_retransmit(STRANGER, gate.now)
    gate.fail()
    assert gate.store() is Verdict.REFUSE


def test_endpoint_that_falls_silent_gets_no_value_until_it_replies() -> None:
    gate = Gate()
    gate.reply()
    assert gate.store() is Verdict.SEND
    gate.fail()
    assert gate.gate.has_replied_before(STRANGER)
    assert gate.store() is Verdict.QUERY_FIRST
    gate.reply()
    assert not gate.gate.has_replied_before(STRANGER)
    assert gate.store() is Verdict.SEND


def test_authorized_endpoint_is_queried_at_any_time_but_gets_no_value() -> None:
    gate = Gate()
    for _ in range(10):
        assert gate.query(is_authorized=True) is Verdict.SEND
    assert gate.store(is_authorized=True) is Verdict.QUERY_FIRST


@pytest.mark.parametrize(
    "endpoint",
    [
        *[("0.0.0.0", 123), ("224.0.0.251", 5353), ("255.255.255.255", 137), ("240.0.0.1", 7)],
        *[("127.255.255.255", 19), ("::", 1), ("ff02::1", 1), ("fe80::1", 1)],
        *[("::ffff:8.8.8.8", 1), ("198.51.100.1", 0), ("198.51.100.1", 65_536), ("localhost", 1)],
    ],
)
def test_unusable_endpoints_are_refused_even_if_configured(endpoint: Endpoint) -> None:
    for host in ("203.0.113.1", "127.0.0.1"):
        gate = Gate(host)
        gate.gate.configure([endpoint])
        assert gate.query(endpoint, is_authorized=True) is Verdict.REFUSE
        assert gate.store(endpoint, is_authorized=True) is Verdict.REFUSE


def test_peers_name_addresses_of_their_own_scope_and_greater_ones() -> None:
    gate = Gate("0.0.0.0").gate
    public, private, loopback = (contact(addr) for addr in ("8.8.8.8", "10.0.0.1", "127.0.0.1"))
    named = [public, private, loopback, contact("224.0.0.1")]
    for namer, expected in (
        ("198.51.100.1", [public]),
        ("192.168.1.1", [public, private]),
        ("127.0.0.1", [public, private, loopback]),
    ):
        assert gate.select_named((namer, 1), named) == expected
        assert [each for each in named if gate.may_name((namer, 1), each)] == expected


def test_scope_without_peers_is_refused() -> None:
    loopback, private = ("127.0.0.1", 53), ("10.0.0.5", 161)
    gate = Gate("0.0.0.0")
    assert gate.query(private) is gate.query(loopback) is Verdict.REFUSE
    gate.gate.select_named(("192.168.1.1", 1), [])
    assert gate.query(private) is Verdict.SEND
    assert gate.query(loopback) is Verdict.REFUSE
    gate.gate.configure([("127.0.0.1", 8001)])
    assert gate.query(loopback) is Verdict.SEND


def test_request_of_a_private_sender_permits_no_private_scope() -> None:
    gate = Gate("0.0.0.0")
    assert gate.gate.may_name(("10.0.0.1", 1), contact("10.0.0.5"))
    assert gate.query(("10.0.0.5", 161)) is Verdict.REFUSE


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"])
def test_node_bound_to_a_scope_reaches_it(host: str) -> None:
    assert Gate(host).query((host, 4001)) is Verdict.SEND


def test_memory_is_bounded_and_frees_itself() -> None:
    gate = Gate()
    for number in range(1 << 16):
        gate.query((f"50.{number >> 8}.{number & 255}.1", 4000))
    assert len(gate.gate) == 16_384
    assert gate.query() is Verdict.REFUSE
    assert gate.query(is_authorized=True) is Verdict.SEND
    gate.now = SKIP_SECONDS
    assert gate.query() is Verdict.SEND
    assert len(gate.gate) == 1


def test_full_memory_has_room_again_as_soon_as_its_oldest_may_be_queried() -> None:
    gate = Gate()
    for number in range(16_384):
        gate.now = 10.0 * (number >= 5_000)
        gate.query((f"50.{number >> 8}.{number & 255}.1", 4000))
    gate.now = QUERY_INTERVAL - 0.001
    assert gate.query() is Verdict.REFUSE
    gate.now = QUERY_INTERVAL
    assert gate.query() is Verdict.SEND
    assert len(gate.gate) == 11_385


def test_one_subnet_does_not_fill_the_memory() -> None:
    gate = Gate()
    for number in range(20_000):
        gate.query(("50.1.1.1", 4000 + number))
    assert len(gate.gate) == 1_024
    assert gate.query(("50.1.1.2", 4000)) is Verdict.REFUSE
    assert gate.query() is Verdict.SEND
    gate.gate.on_reply(("50.1.1.1", 4000))
    assert gate.query(("50.1.1.2", 4000)) is Verdict.SEND


def test_silent_endpoints_are_bounded() -> None:
    gate = Gate()
    for number in range(2_000):
        endpoint = (f"50.{number >> 8}.{number & 255}.1", 4000)
        gate.reply(endpoint)
        gate.gate.on_timeout(endpoint, gate.now)
    assert len(gate.gate) == 1_024


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["query", "store", "retransmit", "wait"]), st.floats(0, 40)),
    max_size=60,
)


@settings(max_examples=300)
@given(ACTIONS)
def test_no_sequence_sends_a_silent_stranger_more(actions: list[tuple[str, float]]) -> None:
    gate, sent_at, may_be_late = Gate(), [], False
    for action, seconds in actions:
        if action == "wait":
            gate.now += seconds
            may_be_late &= seconds < CALL_SECONDS
        elif action == "retransmit":
            if may_be_late and gate.gate.may_retransmit(STRANGER, gate.now):
                sent_at.append(gate.now)
            may_be_late = False
        else:
            verdict = gate.query() if action == "query" else gate.store()
            assert verdict is not Verdict.SEND or action == "query"
            if verdict in (Verdict.SEND, Verdict.QUERY_FIRST):
                sent_at.append(gate.now)
                may_be_late = True
    for first, third in zip(sent_at, sent_at[2:], strict=False):
        assert third - first >= QUERY_INTERVAL - CALL_SECONDS
