"""Calls in flight: matching of replies, RTO and deadlines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import TooManyCalls
from kademlua.core.pending_calls import PendingCall, PendingCalls
from tests.core.strategies import make_contact

PEER = make_contact(1, addr="127.0.0.1", port=8001)
STRANGER = make_contact(2, addr="127.0.0.1", port=8002)


def never(*_: Any) -> None:
    raise AssertionError("the table itself tells nobody")


def make_call(
    rpc_id: bytes = b"rpcid-12",
    *,
    contact: Contact | None = PEER,
    endpoint: Endpoint = PEER.endpoint,
    deadline: float = 1.5,
    has_late: bool = True,
    patience: float = 0.0,
) -> PendingCall:
    late = never if has_late else None
    return PendingCall(
        rpc_id=rpc_id,
        endpoint=endpoint,
        contact=contact,
        name="ping",
        sent_at=0.0,
        deadline=deadline,
        on_done=never,
        on_late=late,
        rto=patience,
    )


def table_with(*calls: PendingCall) -> PendingCalls:
    table = PendingCalls(100)
    for call in calls:
        table.add(call)
    return table


def test_a_reply_is_matched_once():
    call = make_call()
    table = table_with(call)
    assert len(table) == 1
    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) is call
    assert len(table) == 0
    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) == "unexpected response"


@pytest.mark.parametrize(
    ("rpc_id", "endpoint", "sender_id", "reason"),
    [
        (b"rpcid-13", PEER.endpoint, PEER.id, "unexpected response"),
        (b"rpcid-12", ("127.0.0.2", 8001), PEER.id, "response from another endpoint"),
        (b"rpcid-12", ("127.0.0.1", 8002), PEER.id, "response from another endpoint"),
        (b"rpcid-12", ("::1", 8001), PEER.id, "response from another endpoint"),
        (b"rpcid-12", PEER.endpoint, STRANGER.id, "response from another id"),
    ],
)
def test_rpc_id_address_port_and_id_must_agree(rpc_id, endpoint, sender_id, reason):
    call = make_call()
    table = table_with(call)
    assert table.match(rpc_id, endpoint, sender_id) == reason
    # Whoever tries to answer in another's name does not end the call.
    assert len(table) == 1
    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) is call


def test_any_id_may_answer_where_none_is_known():
    call = make_call(contact=None)
    table = table_with(call)
    assert table.match(call.rpc_id, STRANGER.endpoint, PEER.id) == "response from another endpoint"
    assert table.match(call.rpc_id, PEER.endpoint, STRANGER.id) is call


def test_the_limit():
    table = PendingCalls(2)
    first, second, third = (make_call(bytes([number]) * 8) for number in range(3))
    table.add(first)
    table.add(second)
    with pytest.raises(TooManyCalls):
        table.add(third)
    assert len(table) == 2
    assert table.match(third.rpc_id, PEER.endpoint, PEER.id) == "unexpected response"
    table.cancel(first)
    table.add(third)
    assert table.pop_due(9.0) == [(second, True), (third, True)]


def test_cancelled_call_is_removed():
    call = make_call()
    table = table_with(call)
    table.cancel(call)
    table.cancel(call)
    assert len(table) == 0
    assert table.pop_due(9.0) == []
    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) == "unexpected response"


def test_drained_calls_are_removed():
    calls = [make_call(bytes([number]) * 8) for number in range(3)]
    table = table_with(*calls)
    table.match(calls[0].rpc_id, PEER.endpoint, PEER.id)
    assert table.drain() == calls[1:]
    assert len(table) == 0
    assert table.next_due() is None
    assert table.pop_due(9.0) == table.drain() == []


def test_deadlines():
    late, soon = make_call(b"l" * 8, deadline=3.0), make_call(b"s" * 8, deadline=1.0)
    table = table_with(late, soon)
    assert table.next_due() == 1.0
    assert table.pop_due(0.999) == []
    assert table.pop_due(1.0) == [(soon, True)]
    assert table.match(soon.rpc_id, PEER.endpoint, PEER.id) == "unexpected response"
    assert table.next_due() == 3.0
    assert table.pop_due(99.0) == [(late, True)]
    assert table.next_due() is None


def test_call_is_late_twice_and_expires_at_its_deadline():
    call = make_call(deadline=1.5, patience=0.2)
    table = table_with(call)
    assert table.next_due() == 0.2
    assert table.pop_due(0.1) == []
    assert table.pop_due(0.2) == [(call, False)]
    assert call.late_count == 1
    assert table.pop_due(0.79) == []
    assert table.pop_due(0.8) == [(call, False)]
    assert call.late_count == 2
    assert table.pop_due(1.4) == []
    assert table.next_due() == 1.5
    assert table.pop_due(1.5) == [(call, True)]
    assert len(table) == 0


def test_late_reply_is_matched():
    call = make_call(patience=0.2)
    table = table_with(call)
    table.pop_due(0.5)
    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) is call
    assert table.pop_due(9.0) == []


def test_late_callback_is_optional_and_never_after_the_deadline():
    indifferent = make_call(b"i" * 8, has_late=False, patience=0.2)
    patient = make_call(b"p" * 8, patience=7.0)
    table = table_with(indifferent, patient)
    assert table.pop_due(1.4) == []
    assert table.pop_due(1.5) == [(indifferent, True), (patient, True)]


def test_reused_rpc_id_belongs_to_the_newer_call():
    first, second = make_call(deadline=1.0), make_call(deadline=2.0)
    table = table_with(first)
    table.match(first.rpc_id, PEER.endpoint, PEER.id)
    table.add(second)
    assert table.pop_due(1.0) == []  # the row of the first one is still there
    assert table.pop_due(2.0) == [(second, True)]


def test_rare_polling_reports_only_expiry():
    call = make_call(deadline=1.5, patience=0.2)
    table = table_with(call)
    assert table.pop_due(0.9) == [(call, False)]
    assert table.next_due() == 0.8  # the second time is over already: at the next look
    assert table.pop_due(9.0) == [(call, True)]


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 50), st.sampled_from(["", "match", "cancel"])),
        max_size=30,
    ),
    st.lists(st.integers(1, 20), min_size=10, max_size=20),
)
def test_each_call_is_late_at_most_twice_and_expires_once_in_order(plans, steps):
    table = PendingCalls(1000)
    calls = {}
    for number, (late_at, deadline, end) in enumerate(plans):
        call = make_call(
            number.to_bytes(8, "big"), deadline=float(deadline), patience=float(late_at)
        )
        table.add(call)
        calls[call] = (float(late_at), end)
    seen: list[tuple[float, PendingCall, bool]] = []
    ended = set()
    now = 0.0
    for step in [*steps, 1000]:
        for call, (_, end) in calls.items():
            # At half of their time some are answered, or given up.
            if call not in ended and end and now >= call.deadline / 2 and now < call.deadline:
                ended.add(call)
                if end == "match":
                    assert table.match(call.rpc_id, PEER.endpoint, PEER.id) is call
                else:
                    table.cancel(call)
        due = table.next_due()
        open_calls = [c for c in calls if c not in ended]
        assert due is not None or not open_calls
        now += step
        for call, is_over in table.pop_due(now):
            assert call not in ended
            told = sum(told_call is call for _, told_call, _ in seen)
            when = call.deadline if is_over else (1, 4)[told] * calls[call][0]
            assert due is not None
            assert due <= now
            assert when <= now
            seen.append((when, call, is_over))
            if is_over:
                ended.add(call)
    assert len(table) == 0
    assert ended == set(calls)
    for call, (late_at, _) in calls.items():
        told = [is_over for _, told_call, is_over in seen if told_call is call]
        assert told in ([], [False], [False] * 2, [True], [False, True], [False, False, True])
        if told[-1:] == [True]:
            assert told.count(False) <= sum(0 < n * late_at < call.deadline for n in (1, 4))


def test_restarted_call_has_its_full_timeout():
    call = make_call(deadline=0.4, patience=0.08)
    table = table_with(call)
    assert table.restart(call.rpc_id, PEER.endpoint, 0.09, 1.5) is call
    assert table.pop_due(0.15) == []
    assert table.pop_due(0.2) == [(call, False)]
    assert table.pop_due(0.4) == []
    assert table.pop_due(0.42) == [(call, False)]
    assert table.pop_due(0.45) == []
    assert table.pop_due(0.5) == [(call, True)]


@pytest.mark.parametrize(
    ("deadline", "longest", "over"),
    [(0.4, 1.5, 0.5), (1.5, 1.5, 1.5), (2.0, 1.5, 2.0), (1.45, 1.5, 1.5)],
)
def test_deadline_extension_is_limited(deadline, longest, over):
    call = make_call(deadline=deadline, has_late=False)
    table = table_with(call)
    assert table.restart(call.rpc_id, PEER.endpoint, 0.1, longest) is call
    assert call.sent_at == 0.1
    assert table.pop_due(over - 0.001) == []
    assert table.pop_due(over + 0.001) == [(call, True)]


def test_only_calls_in_flight_are_restarted():
    call = make_call()
    table = table_with(call)
    assert table.restart(b"rpcid-13", PEER.endpoint, 0.1, 1.5) is None
    assert table.restart(call.rpc_id, STRANGER.endpoint, 0.1, 1.5) is None
    assert table.restart(call.rpc_id, PEER.endpoint, call.deadline + 0.1, 1.5) is None
    assert call.sent_at == 0.0
    table.cancel(call)
    assert table.restart(call.rpc_id, PEER.endpoint, 0.1, 1.5) is None


def held_call(rpc_id: bytes, endpoint: Endpoint = PEER.endpoint) -> PendingCall:
    call = make_call(rpc_id, contact=None, endpoint=endpoint)
    call.held_datagram = b"datagram"
    return call


def test_held_calls_of_an_endpoint_are_released_with_their_full_time():
    first, second, other = held_call(b"1"), held_call(b"2"), held_call(b"3", STRANGER.endpoint)
    table = table_with(first, second, other)
    assert table.release(PEER.endpoint, 1.0, 1.5) == [first, second]
    assert first.sent_at == second.sent_at == 1.0
    assert table.release(PEER.endpoint, 1.0, 1.5) == []
    assert table.release(STRANGER.endpoint, 9.0, 1.5) == []  # it has expired


@pytest.mark.parametrize("end", ["cancel", "expire", "drain"])
def test_held_call_that_has_ended_is_not_released(end: str):
    call = held_call(b"1")
    table = table_with(call)
    {
        "cancel": lambda: table.cancel(call),
        "expire": lambda: table.pop_due(2.0),
        "drain": table.drain,
    }[end]()
    assert len(table) == 0
    assert table.release(PEER.endpoint, 0.5, 1.5) == []


def test_held_call_that_expired_can_be_cancelled_while_another_one_is_held():
    """A caller that blocks cancels its call in any case."""
    expired, other = held_call(b"1"), held_call(b"2")
    other.deadline = other.due_at = 5.0
    table = table_with(expired, other)
    assert [call for call, _ in table.pop_due(2.0)] == [expired]
    assert not table.cancel(expired)
    assert table.release(PEER.endpoint, 2.0, 10.0) == [other]
