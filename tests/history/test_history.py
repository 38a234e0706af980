"""Runs of the history checker: no promise is broken, and each rule is checked."""

from __future__ import annotations

import pytest

from tests.history.__main__ import check_seeds
from tests.history.rules import RULES


def check(first: int, count: int) -> None:
    checked, violated, by_seed = check_seeds(first, count)
    assert not violated, f"violations by seed: {dict(by_seed)}; see the output"
    assert all(checked[rule] for rule in RULES), checked


@pytest.mark.timeout(240)
def test_promises_hold_under_faults() -> None:
    check(first=1, count=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_promises_hold_under_many_faults() -> None:
    check(first=1001, count=60)
