"""Which contacts of a bucket are nearest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kademlua import Contact
from kademlua.core.ids import ID_BITS, from_int
from kademlua.core.routing.selection import nearest_of

IDS = st.one_of(
    st.integers(0, (1 << ID_BITS) - 1),
    st.integers(0, 255),  # the same prefix
    st.integers(0, 255).map(lambda number: number << 100),  # differ in the last bits of the prefix
)


@given(ids=st.sets(IDS, min_size=2, max_size=40), target=IDS, data=st.data())
def test_nearest_contacts_are_those_of_a_sort(
    ids: set[int], target: int, data: st.DataObject
) -> None:
    contacts = [Contact("192.0.2.1", 1, from_int(each)) for each in ids]
    count = data.draw(st.integers(1, len(ids) - 1))
    nearest = nearest_of(contacts, target, count)
    by_distance = sorted(contacts, key=lambda each: each.id_int ^ target)
    assert sorted(nearest, key=lambda each: each.id_int ^ target) == by_distance[:count]
