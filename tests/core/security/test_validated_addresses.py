"""Validated addresses: ten minutes, in limited memory."""

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.table import RoutingTable
from kademlua.core.security.validated_addresses import (
    MAX_ENDPOINTS,
    VALIDATION_LIFETIME,
    ValidatedAddresses,
)

HOME = ("192.0.2.1", 4000)


def verified_of(limit: int = MAX_ENDPOINTS) -> ValidatedAddresses:
    return ValidatedAddresses(RoutingTable(bytes(20), 20, 0.0), limit)


def contact(endpoint: Endpoint, first: int = 0x80) -> Contact:
    return Contact(*endpoint, bytes([first]) + endpoint[1].to_bytes(19, "big"))


def test_address_is_validated_for_ten_minutes() -> None:
    verified = verified_of()
    assert not verified.is_validated(HOME, 5.0)
    verified.mark(HOME, 5.0)
    assert verified.is_validated(HOME, 5.0 + VALIDATION_LIFETIME)
    assert not verified.is_validated(HOME, 5.1 + VALIDATION_LIFETIME)
    assert not verified.is_validated(("192.0.2.1", 4001), 5.0)


def test_each_proof_restarts_the_lifetime() -> None:
    verified = verified_of()
    verified.mark(HOME, 0.0)
    verified.mark(HOME, 500.0)
    assert verified.is_validated(HOME, 1000.0)


def test_expired_address_is_forgotten() -> None:
    verified = verified_of()
    for number in range(1000):
        verified.mark(("192.0.2.1", number), 0.0)
    verified.mark(HOME, 2 * VALIDATION_LIFETIME)
    assert len(verified) == 1


def test_addresses_are_limited_and_the_latest_stay() -> None:
    verified = verified_of(limit=100)
    for number in range(10_000):
        verified.mark(("192.0.2.1", number), float(number) / 1000)
        assert len(verified) <= 100
    assert all(
        verified.is_validated(("192.0.2.1", number), 10.0) for number in range(9_950, 10_000)
    )


def test_validated_contact_in_table_is_not_recorded_twice() -> None:
    table = RoutingTable(bytes(20), 20, 0.0)
    verified = ValidatedAddresses(table)
    table.on_reply(contact(HOME), 5.0)
    verified.mark(HOME, 5.0)
    assert len(verified) == 0
    assert verified.is_validated(HOME, 5.0 + VALIDATION_LIFETIME)
    assert not verified.is_validated(HOME, 5.1 + VALIDATION_LIFETIME)
    verified.mark(HOME, 100.0)  # by a token: the table does not know of that
    assert verified.is_validated(HOME, 100.0 + VALIDATION_LIFETIME)


def test_request_does_not_validate_its_sender() -> None:
    table = RoutingTable(bytes(20), 20, 0.0)
    verified = ValidatedAddresses(table)
    table.on_reply(contact(HOME), 5.0)
    table.touch(contact(HOME).id, HOME, 500.0)
    assert not verified.is_validated(HOME, 5.1 + VALIDATION_LIFETIME)


def test_promoted_contact_is_validated_only_by_its_own_reply() -> None:
    table = RoutingTable(bytes(20), 1, 0.0)
    verified = ValidatedAddresses(table)
    first, second = contact(HOME), contact(("192.0.2.2", 4001))
    for each, now in ((first, 0.0), (second, 5.0), (first, 500.0)):
        table.on_reply(each, now)
        verified.mark(each.endpoint, now)
    assert table.remove(first) == second
    assert verified.is_validated(second.endpoint, 5.0 + VALIDATION_LIFETIME)
    assert not verified.is_validated(second.endpoint, 5.1 + VALIDATION_LIFETIME)
