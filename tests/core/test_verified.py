"""Verified addresses: for ten minutes, in bounded memory."""

from kademlua.core.verified import VERIFIED_FOR, Verified

HOME = ("192.0.2.1", 4000)


def test_for_ten_minutes() -> None:
    verified = Verified()
    assert not verified.has(HOME, 5.0)
    verified.note(HOME, 5.0)
    assert verified.has(HOME, 5.0 + VERIFIED_FOR)
    assert not verified.has(HOME, 5.1 + VERIFIED_FOR)
    assert not verified.has(("192.0.2.1", 4001), 5.0)


def test_each_proof_begins_them_anew() -> None:
    verified = Verified()
    verified.note(HOME, 0.0)
    verified.note(HOME, 500.0)
    assert verified.has(HOME, 1000.0)


def test_what_is_over_is_forgotten() -> None:
    verified = Verified()
    for number in range(1000):
        verified.note(("192.0.2.1", number), 0.0)
    verified.note(HOME, 2 * VERIFIED_FOR)
    assert len(verified) == 1


def test_bounded_and_the_latest_stay() -> None:
    verified = Verified(limit=100)
    for number in range(10_000):
        verified.note(("192.0.2.1", number), float(number) / 1000)
        assert len(verified) <= 100
    assert all(verified.has(("192.0.2.1", number), 10.0) for number in range(9_950, 10_000))
