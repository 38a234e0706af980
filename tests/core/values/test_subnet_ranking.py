"""The subnet with the largest usage, while usages change."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from kademlua.core.values.subnet_ranking import SubnetRanking

SUBNETS = st.integers(0, 30).map(lambda number: b"%03d" % number)
CHANGES = st.lists(st.tuples(SUBNETS, st.integers(0, 5), st.booleans()), max_size=400)


@given(CHANGES, st.sampled_from([-1, 3]))
def test_first_has_the_largest_usage(changes: list[tuple[bytes, int, bool]], mask: int) -> None:
    usages: dict[bytes, int] = {}
    ranking = SubnetRanking(usages, mask)
    for subnet, usage, is_asked in changes:
        if usage:
            usages[subnet] = usage
            ranking.change(subnet, usage)
        else:
            usages.pop(subnet, None)
        if usages and is_asked:
            assert usages[ranking.first()] & mask == max(each & mask for each in usages.values())


class CountedUsages(dict[bytes, int]):
    """Usages that count how many are read."""

    reads = 0

    def get(self, key: bytes, default: object = None) -> int | None:  # type: ignore[override]
        self.reads += 1
        return super().get(key)


def test_full_store_reads_few_usages_for_each_value() -> None:
    usages = CountedUsages((b"%05d" % number, 1) for number in range(10_000))
    ranking = SubnetRanking(usages, -1)
    ranking.first()
    for number in range(1_000):  # the usages of a full store: one value comes, another yields
        newcomer, yielding = b"n%04d" % number, ranking.first()
        del usages[yielding]
        usages[newcomer] = 1
        ranking.change(newcomer, 1)
    assert usages.reads < 3_100
