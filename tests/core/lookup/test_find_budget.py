"""FindBudget: shares of nodes, sizes of values, and what is charged."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Contact, FindLimits
from kademlua.core.lookup.find_budget import FindBudget
from kademlua.core.reasons import IgnoredValue

ALICE, BOB, CAROL = (Contact("192.0.2.1", port, bytes(20)) for port in (1, 2, 3))


def budget(max_bytes: int = 3_000, node_count: int = 3, max_value_bytes: int = 500) -> FindBudget:
    return FindBudget(max_bytes, node_count, max_value_bytes)


def test_values_that_fit_are_admitted_in_order():
    assert budget().admit(ALICE, [b"b", 7, [b"a"], {b"k": b"v"}]) == [b"b", 7, [b"a"], {b"k": b"v"}]


def test_large_values_are_ignored_and_hide_no_others():
    found = budget(max_value_bytes=10)
    assert found.admit(ALICE, [b"12345678", b"123456789", [b"a" * 9], b"x"]) == [b"12345678", b"x"]
    assert found.ignored == {IgnoredValue.TOO_LARGE: 2}


def test_a_node_uses_up_its_share_only():
    found = budget()
    values = [bytes(436)] * 5
    assert found.admit(ALICE, values) == [bytes(436)]  # 440 bencoded, and an object: 504 of 1,000
    assert found.is_exhausted(ALICE)
    assert found.ignored == {IgnoredValue.OVER_BUDGET: 4}
    assert found.admit(ALICE, [b"x"]) == []
    assert found.admit(BOB, [b"x"]) == [b"x"]


def test_ignored_values_and_padding_are_charged():
    for values, reply_bytes in (([bytes(1_000)], 0), ([b"x"], 1_000), ([], 1_000)):
        found = budget()
        found.admit(ALICE, values, reply_bytes)
        assert found.is_exhausted(ALICE)


@pytest.mark.parametrize("value", [[[]] * 20, [{}] * 20, {b"%d" % n: 1 for n in range(10)}])
def test_small_parts_are_charged_with_their_memory(value: Any):
    found = budget(max_bytes=3_000, node_count=1)
    assert found.admit(ALICE, [value] * 5) == [value] * 2


def test_the_total_counts_nodes_whose_values_are_kept():
    found = budget(max_bytes=1_200, node_count=2)
    for contact in (ALICE, BOB, ALICE):
        found.admit(contact, [bytes(300)])  # rejected later, thus not kept
    assert found.admit(CAROL, [bytes(300)])
    found.keep(CAROL)
    assert found.admit(CAROL, [b"x"])
    found.keep(ALICE)
    assert found.admit(BOB, [bytes(300)]) == []


@pytest.mark.parametrize("field", ["max_values_per_node", "max_bytes", "timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(field: str, value: float):
    with pytest.raises(ValueError, match=f"{field} must be above 0"):
        FindLimits(**{field: value})
