"""Votes on the node's external address, and the verdict on its reachability."""

import pytest

from kademlua.core.security.own_address import (
    FAILURES_REQUIRED,
    MIN_SUBNETS,
    VOTE_LIFETIME,
    ExternalAddressVotes,
    Reachability,
)

SEEN = ("203.0.113.7", 8001)


def votes(*of: tuple[str, str, int], at: float = 0.0) -> ExternalAddressVotes:
    own = ExternalAddressVotes()
    for voter, addr, port in of:
        own.add(voter, addr, port, at)
    return own


def test_three_subnets_decide_the_address() -> None:
    own = votes(*((f"198.51.{number}.1", *SEEN) for number in range(MIN_SUBNETS - 1)))
    assert own.consensus(0.0) is None
    own.add("198.51.100.1", *SEEN, 0.0)
    assert own.consensus(0.0) == SEEN


def test_subnet_has_one_vote() -> None:
    own = votes(*((f"198.51.100.{number}", *SEEN) for number in range(1, 250)))
    assert own.consensus(0.0) is None
    own = votes(*((f"2001:db8::{number}", "2001:db9::1", 1) for number in range(1, 9)))
    assert own.consensus(0.0) is None


def test_more_than_half_is_needed() -> None:
    rows = [(f"198.51.{number}.1", *SEEN) for number in range(3)]
    rows += [(f"198.52.{number}.1", "192.0.2.1", 9) for number in range(2)]
    own = votes(*rows)
    assert own.consensus(0.0) == SEEN
    own.add("198.52.9.1", "192.0.2.1", 9, 0.0)
    assert own.consensus(0.0) is None


def test_different_ports_give_no_address() -> None:
    assert votes(*((f"198.51.{n}.1", SEEN[0], 4000 + n) for n in range(9))).consensus(0.0) is None


def test_votes_expire_and_can_change() -> None:
    own = votes(*((f"198.51.{number}.1", *SEEN) for number in range(3)))
    assert own.consensus(VOTE_LIFETIME) == SEEN
    assert own.consensus(VOTE_LIFETIME + 1) is None
    for number in range(2):
        own.add(f"198.51.{number}.1", "192.0.2.1", 9, 1.0)
    assert own.consensus(1.0) == ("192.0.2.1", 9)


def test_each_family_has_votes_of_its_own() -> None:
    own = votes(*((f"2001:db8:{number}::1", "2001:db9::1", 1) for number in range(3)))
    assert own.consensus(0.0) == ("2001:db9::1", 1)
    own.add("198.51.100.1", "2001:db9::2", 1, 0.0)  # it can't have seen that
    assert own.consensus(0.0) == ("2001:db9::1", 1)
    for number in range(3):
        own.add(f"198.51.{number}.1", *SEEN, 0.0)
    assert own.consensus(0.0) == SEEN


def test_invalid_vote_is_refused_and_memory_is_limited() -> None:
    own = ExternalAddressVotes()
    for text in ("", "localhost", "1.2.3", "\ufffd"):
        with pytest.raises(ValueError, match="not an IP address"):
            own.add("198.51.100.1", text, 1, 0.0)
    for number in range(10_000):
        own.add(f"10.{number >> 8}.{number & 255}.1", *SEEN, 0.0)
    for number in range(32):  # all earlier votes are forgotten
        own.add(f"198.{number}.1.1", "203.0.113.99", 1, 0.0)
    assert own.consensus(0.0) == ("203.0.113.99", 1)


def test_several_failures_decide_and_one_success_does() -> None:
    reach = Reachability()
    for _ in range(FAILURES_REQUIRED - 1):
        reach.record_failure()
    assert reach.is_reachable is None
    reach.record_failure()
    assert reach.is_reachable is False
    reach.record_success()
    assert reach.is_reachable is True


def test_what_is_undecided_weighs_against_failures() -> None:
    reach = Reachability()
    for _ in range(10 * FAILURES_REQUIRED):
        reach.record_failure()
        reach.record_inconclusive()
    assert reach.is_reachable is None
    for _ in range(FAILURES_REQUIRED):
        reach.record_failure()
        reach.record_failure()
        reach.record_inconclusive()
    assert reach.is_reachable is False
    reach.record_inconclusive()
    assert reach.is_reachable is False
