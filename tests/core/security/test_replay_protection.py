"""Replay protection: each request is accepted once, even if it was recorded and sent again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.contact import Endpoint
from kademlua.core.security.replay_protection import (
    MAX_RETRIES,
    MAX_TRACKED_RETRIES,
    NO_TICKET,
    NO_TRAILER,
    TRAILER,
    WINDOW,
    ChallengeRetries,
    SessionTable,
)

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
Trailer = bytes


def make(seed: int = 1, **settings: int) -> SessionTable:
    return SessionTable(random.Random(seed), **settings)


def sent(sessions: SessionTable, to: Endpoint) -> Trailer:
    """The trailer of the next request, made as the transport makes it."""
    session = sessions.get(to)
    if session is None:
        return NO_TRAILER
    session.outgoing_counter += 1
    return TRAILER.pack(session.outgoing_ticket, session.outgoing_counter)


def introduced(alice: SessionTable, bob: SessionTable) -> list[Trailer]:
    """Alice asks Bob for the first time: what she sent, of which the last was taken."""
    first = sent(alice, BOB)
    assert bob.check(ALICE, first) == "unproven"
    alice.adopt_ticket(BOB, bob.ticket_for(ALICE))
    second = sent(alice, BOB)
    assert bob.check(ALICE, second) is None
    return [first, second]


def test_unknown_peer_is_challenged_once() -> None:
    alice, bob = make(1), make(2)
    introduced(alice, bob)
    for _ in range(100):
        assert bob.check(ALICE, sent(alice, BOB)) is None


def test_challenged_peer_need_not_challenge() -> None:
    alice, bob = make(1), make(2)
    introduced(alice, bob)
    for _ in range(100):
        assert alice.check(BOB, sent(bob, ALICE)) is None
        assert bob.check(ALICE, sent(alice, BOB)) is None


def test_both_peers_may_start_simultaneously() -> None:
    alice, bob = make(1), make(2)
    assert bob.check(ALICE, sent(alice, BOB)) == "unproven"
    assert alice.check(BOB, sent(bob, ALICE)) == "unproven"
    for_alice, for_bob = bob.ticket_for(ALICE), alice.ticket_for(BOB)
    alice.adopt_ticket(BOB, for_alice)
    bob.adopt_ticket(ALICE, for_bob)
    for _ in range(3):
        assert bob.check(ALICE, sent(alice, BOB)) is None
        assert alice.check(BOB, sent(bob, ALICE)) is None


def test_accepted_datagram_is_not_accepted_again() -> None:
    alice, bob = make(1), make(2)
    recorded = introduced(alice, bob)
    for _ in range(3 * WINDOW):
        recorded.append(sent(alice, BOB))
        assert bob.check(ALICE, recorded[-1]) is None
    assert bob.check(ALICE, recorded[0]) == "unproven"  # shows no ticket
    for each in recorded[1:]:
        assert bob.check(ALICE, each) == "replayed"


def test_datagram_for_one_peer_is_refused_by_another() -> None:
    alice, bob, carol = make(1), make(2), make(3)
    recorded = introduced(alice, bob) + introduced(alice, carol)[1:]
    recorded += [sent(alice, BOB)]
    for each in recorded[:2]:
        assert carol.check(ALICE, each) == "unproven"
    assert bob.check(BOB, recorded[-1]) == "unproven"  # from elsewhere
    assert alice.check(BOB, recorded[-1]) == "unproven"  # back to who sent it


@given(st.permutations(range(WINDOW)), st.integers(1, 5))
def test_any_order_within_the_window_is_accepted(order: list[int], times: int) -> None:
    alice, bob = make(1), make(2)
    introduced(alice, bob)
    requests = [sent(alice, BOB) for _ in range(WINDOW)]
    assert [bob.check(ALICE, requests[each]) for each in order] == [None] * WINDOW
    for each in order * times:
        assert bob.check(ALICE, requests[each]) == "replayed"
    assert bob.check(ALICE, sent(alice, BOB)) is None


@pytest.mark.parametrize(("later", "reason"), [(WINDOW - 1, None), (WINDOW, "replayed")])
def test_datagram_behind_the_window_is_refused(later: int, reason: str | None) -> None:
    alice, bob = make(1), make(2)
    introduced(alice, bob)
    late = sent(alice, BOB)
    for _ in range(later):
        assert bob.check(ALICE, sent(alice, BOB)) is None
    assert bob.check(ALICE, late) == reason


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=200), st.integers(0, 3 * WINDOW))
def test_new_datagrams_are_accepted_exactly_once(arriving: list[int], first: int) -> None:
    """Against a model: what came is remembered for good, and the highest that came."""
    alice, bob = make(1), make(2)
    assert bob.check(ALICE, sent(alice, BOB)) == "unproven"
    alice.adopt_ticket(BOB, bob.ticket_for(ALICE))
    requests = [sent(alice, BOB) for _ in range(3 * WINDOW + 1)]
    came, newest = set(), -1
    for each in [first, *arriving]:
        taken = bob.check(ALICE, requests[each]) is None
        assert taken == (each not in came and (each > newest or newest - each < WINDOW))
        came.add(each)
        newest = max(newest, each)


@given(st.lists(st.sampled_from(["ask", "answer", "replay", "restart", "lose"]), max_size=60))
def test_no_datagram_is_accepted_twice_and_two_attempts_suffice(steps: list[str]) -> None:
    """Alice and Bob ask each other; either forgets everything now and then; who listens sends
    all that was ever sent once more."""
    rng = random.Random(1)
    parties: dict[Endpoint, SessionTable] = {ALICE: make(1), BOB: make(2)}
    recorded: list[tuple[Endpoint, Endpoint, Trailer]] = []
    taken: set[tuple[Endpoint, Endpoint, Trailer]] = set()

    def deliver(source: Endpoint, to: Endpoint, request: Trailer) -> str | None:
        reason = parties[to].check(source, request)
        if reason is None:
            assert (source, to, request) not in taken
            taken.add((source, to, request))
        return reason

    def ask(source: Endpoint, to: Endpoint) -> None:
        for _ in range(3):
            request = sent(parties[source], to)
            recorded.append((source, to, request))
            reason = deliver(source, to, request)
            if reason is None:
                return
            assert reason == "unproven"
            parties[source].adopt_ticket(to, parties[to].ticket_for(source))
        raise AssertionError("a challenge that was met did not help")

    for step in steps:
        if step in ("ask", "answer"):
            ask(*((ALICE, BOB) if step == "ask" else (BOB, ALICE)))
        elif step == "lose":
            sent(parties[ALICE], BOB)
        elif step == "restart":
            who = rng.choice([ALICE, BOB])
            parties[who] = make(rng.randrange(1 << 30))
        else:
            for source, to, request in recorded:
                assert deliver(source, to, request) is not None


def test_challenge_allocates_no_state() -> None:
    bob = make()
    tickets = set()
    for port in range(1, 5_000):
        stranger = ("192.0.2.9", port)
        assert bob.check(stranger, NO_TRAILER) == "unproven"
        tickets.add(bob.ticket_for(stranger))
        assert bob.ticket_for(stranger) == bob.ticket_for(stranger)
    assert len(tickets) == 4_999
    assert NO_TICKET not in tickets
    assert len(bob) == 0


def test_sessions_are_limited_and_evicted_peer_is_challenged_again() -> None:
    bob = make(limit=10)
    recorded = {}
    for port in range(1, 100):
        peer = ("192.0.2.9", port)
        assert bob.check(peer, NO_TRAILER) == "unproven"
        recorded[peer] = TRAILER.pack(bob.ticket_for(peer), 7)
        assert bob.check(peer, recorded[peer]) is None
        assert len(bob) <= 10
    reasons = [bob.check(*each) for each in recorded.items()]
    assert set(reasons[:-10]) == {"unproven"}
    assert reasons[-1] == "replayed"
    assert None not in reasons


def test_counters_start_at_random_values() -> None:
    counters = set()
    for seed in range(20):
        alice = make(seed)
        alice.adopt_ticket(BOB, b"8 bytes.")
        ticket, counter = TRAILER.unpack(sent(alice, BOB))
        assert ticket == b"8 bytes."
        assert counter < 1 << 62
        counters.add(counter)
    assert len(counters) == 20


def test_a_request_is_repeated_once_for_a_ticket_and_a_few_times_at_most() -> None:
    repeats = ChallengeRetries()
    for number in range(MAX_RETRIES):
        ticket = b"ticket-%d" % number
        assert repeats.is_allowed(b"rpc-id-8", ticket)
        repeats.record(b"rpc-id-8", ticket)
        assert not repeats.is_allowed(b"rpc-id-8", ticket)
    assert not repeats.is_allowed(b"rpc-id-8", b"ticket-x")
    assert repeats.is_allowed(b"rpc-id-9", b"ticket-0")


def test_record_of_repeats_is_limited() -> None:
    repeats = ChallengeRetries()
    for number in range(10 * MAX_TRACKED_RETRIES):
        repeats.record(b"%08d" % number, b"ticket-8")
    assert len(repeats) == MAX_TRACKED_RETRIES
    assert not repeats.is_allowed(b"%08d" % (10 * MAX_TRACKED_RETRIES - 1), b"ticket-8")
