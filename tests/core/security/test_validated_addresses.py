"""Verified addresses: for ten minutes, in bounded memory."""

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.table import RoutingTable
from kademlua.core.security.validated_addresses import LIMIT, VERIFIED_FOR, Verified

HOME = ("192.0.2.1", 4000)


def verified_of(limit: int = LIMIT) -> Verified:
    return Verified(RoutingTable(bytes(20), 20, 0.0), limit)


def contact(endpoint: Endpoint, first: int = 0x80) -> Contact:
    return Contact(*endpoint, bytes([first]) + endpoint[1].to_bytes(19, "big"))


def test_for_ten_minutes() -> None:
    verified = verified_of()
    assert not verified.has(HOME, 5.0)
    verified.note(HOME, 5.0)
    assert verified.has(HOME, 5.0 + VERIFIED_FOR)
    assert not verified.has(HOME, 5.1 + VERIFIED_FOR)
    assert not verified.has(("192.0.2.1", 4001), 5.0)


def test_each_proof_begins_them_anew() -> None:
    verified = verified_of()
    verified.note(HOME, 0.0)
    verified.note(HOME, 500.0)
    assert verified.has(HOME, 1000.0)


def test_what_is_over_is_forgotten() -> None:
    verified = verified_of()
    for number in range(1000):
        verified.note(("192.0.2.1", number), 0.0)
    verified.note(HOME, 2 * VERIFIED_FOR)
    assert len(verified) == 1


def test_bounded_and_the_latest_stay() -> None:
    verified = verified_of(limit=100)
    for number in range(10_000):
        verified.note(("192.0.2.1", number), float(number) / 1000)
        assert len(verified) <= 100
    assert all(verified.has(("192.0.2.1", number), 10.0) for number in range(9_950, 10_000))


def test_who_answered_and_is_in_the_table_is_not_remembered_twice() -> None:
    table = RoutingTable(bytes(20), 20, 0.0)
    verified = Verified(table)
    table.answered(contact(HOME), 5.0)
    verified.note(HOME, 5.0)
    assert len(verified) == 0
    assert verified.has(HOME, 5.0 + VERIFIED_FOR)
    assert not verified.has(HOME, 5.1 + VERIFIED_FOR)
    verified.note(HOME, 100.0)  # by a token: the table does not know of that
    assert verified.has(HOME, 100.0 + VERIFIED_FOR)


def test_who_only_asks_is_not_verified_by_that() -> None:
    table = RoutingTable(bytes(20), 20, 0.0)
    verified = Verified(table)
    table.answered(contact(HOME), 5.0)
    table.heard(contact(HOME).id, HOME, 500.0)
    assert not verified.has(HOME, 5.1 + VERIFIED_FOR)


def test_who_moves_up_is_verified_by_its_own_answer_alone() -> None:
    table = RoutingTable(bytes(20), 1, 0.0)
    verified = Verified(table)
    first, second = contact(HOME), contact(("192.0.2.2", 4001))
    for each, now in ((first, 0.0), (second, 5.0), (first, 500.0)):
        table.answered(each, now)
        verified.note(each.endpoint, now)
    assert table.remove(first) == second
    assert verified.has(second.endpoint, 5.0 + VERIFIED_FOR)
    assert not verified.has(second.endpoint, 5.1 + VERIFIED_FOR)
