"""A very small attack on real sockets: the measurement works. Long ones are run by command."""

from __future__ import annotations

import sys

import pytest

from tests.security.attacks import measuring
from tests.security.attacks.measuring import Figures


@pytest.mark.skipif(sys.platform != "linux", reason="memory and CPU are read from /proc")
def test_an_attack_is_measured() -> None:
    figures = measuring.measure("stores", 0.3, value_count=4)
    assert figures.attack == "stores"
    assert figures.find_count > 0
    assert measuring.as_table([figures]).splitlines()[1].startswith("stores")


def test_figures_are_compared_with_the_limits() -> None:
    good = Figures("stores", 100, 1.0, 0.001, 0.002, 1_000_000, 0, 0.5)
    assert good.is_within_limits
    assert measuring.as_json(good)["is_within_limits"] is True
    for worse in (
        Figures("stores", 100, 0.98, 0.001, 0.002, 1_000_000, 0, 0.5),
        Figures("stores", 100, 1.0, 0.001, 0.051, 1_000_000, 0, 0.5),
        Figures("stores", 100, 1.0, 0.001, 0.002, 20_000_000, 0, 0.5),
        Figures("stores", 100, 1.0, 0.001, 0.002, 0, 20_000_000, 0.5),
    ):
        assert not worse.is_within_limits
        assert "over a limit" in measuring.as_table([worse])
