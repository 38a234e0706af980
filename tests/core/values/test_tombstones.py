"""Tombstones: expiry, and limits per address and in total."""

from kademlua import Contact
from kademlua.core.ids import from_int
from kademlua.core.values.tombstones import Tombstone, Tombstones

OWNER = Contact("192.0.2.1", 4000, b"o" * 20)
FLOODER = Contact("198.51.100.1", 4000, b"f" * 20)
KEY = b"k" * 20


def test_tombstone_lasts_until_expiry_or_the_next_store() -> None:
    tombstones = Tombstones()
    tombstones.put(KEY, OWNER, Tombstone(10))
    assert tombstones.get(KEY, OWNER, 9) == Tombstone(10)
    assert tombstones.get(KEY, OWNER, 10) is None
    assert tombstones.get(KEY, FLOODER, 9) is None
    tombstones.remove(KEY, OWNER)
    assert tombstones.get(KEY, OWNER, 9) is None


def test_one_address_does_not_evict_tombstones_of_others() -> None:
    tombstones = Tombstones(limit=100)
    tombstones.put(KEY, OWNER, Tombstone(10))
    for number in range(1_000):
        another = Contact(FLOODER.addr, 1 + number % 7, from_int(number % 5))
        tombstones.put(from_int(number), another, Tombstone(1_000))
    assert tombstones.get(KEY, OWNER, 9) == Tombstone(10)
    assert len(tombstones) == 26


def test_oldest_tombstone_of_an_address_is_evicted_at_its_limit() -> None:
    tombstones = Tombstones(limit=8)
    for number in range(3):
        tombstones.put(from_int(number), OWNER, Tombstone(10))
    found = [tombstones.get(from_int(number), OWNER, 9) for number in range(3)]
    assert found == [None, Tombstone(10), Tombstone(10)]


def test_expired_or_cancelled_tombstone_frees_space() -> None:
    tombstones = Tombstones(limit=8)
    for number in range(3):
        tombstones.put(from_int(number), OWNER, Tombstone(number))
    assert len(tombstones) == 2
    tombstones.put(from_int(1), OWNER, Tombstone(20))  # once more, which takes no further place
    assert tombstones.get(from_int(1), OWNER, 19) == Tombstone(20)
    tombstones.expire(0)
    tombstones.put(from_int(3), OWNER, Tombstone(20))
    assert tombstones.get(from_int(3), OWNER, 19) == Tombstone(20)
    tombstones.remove(from_int(3), OWNER)
    tombstones.remove(from_int(3), OWNER)
    tombstones.put(from_int(4), OWNER, Tombstone(20))
    assert tombstones.get(from_int(4), OWNER, 19) == Tombstone(20)
    assert len(tombstones) == 2


def test_oldest_tombstone_is_evicted_at_the_total_limit() -> None:
    tombstones = Tombstones(limit=8)
    for number in range(20):
        tombstones.put(KEY, Contact(f"192.0.2.{number}", 1, b"o" * 20), Tombstone(10))
    assert len(tombstones) == 8
    assert tombstones.get(KEY, Contact("192.0.2.19", 1, b"o" * 20), 9) == Tombstone(10)
    assert tombstones.get(KEY, Contact("192.0.2.11", 1, b"o" * 20), 9) is None
