"""ContactIndex: the nearest contacts, against sorting all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.ids import ID_BITS
from kademlua.core.routing.contact_index import ContactIndex
from tests.core.routing.tables import closest_of
from tests.core.strategies import make_contact

TOP = 1 << ID_BITS
# Ids with long common prefixes, too: they share all subtrees but the smallest.
id_numbers = st.integers(0, TOP - 1) | st.integers(0, 40)


@given(st.sets(id_numbers, max_size=60), id_numbers, st.integers(1, 25), st.data())
def test_nearest_are_the_first_of_all_by_distance(
    numbers: set[int], target: int, count: int, data: st.DataObject
) -> None:
    index, contacts = ContactIndex(), [make_contact(each) for each in numbers]
    for contact in contacts:
        index.add(contact)
    gone = data.draw(st.sets(st.sampled_from(contacts))) if contacts else set()
    for contact in gone:
        index.remove(contact)
    kept = [each for each in contacts if each not in gone]
    assert index.nearest(target, count) == closest_of(kept, target, count)
    assert len(index) == len(kept)


def test_contact_replaces_another_one_with_its_id() -> None:
    index, old, new = ContactIndex(), make_contact(5, port=1), make_contact(5, port=2)
    index.add(old)
    index.add(new)
    index.remove(old)
    assert index.nearest(0, 3) == [new]
