"""The clock of a node, and the boot that it counts from."""

from __future__ import annotations

import sys
import time

import pytest

from kademlua import Node, NodeOptions
from kademlua.runtime.clocks import boot_clock, read_boot_id


def test_clock_never_goes_back() -> None:
    readings = [boot_clock() for _ in range(1_000)]
    assert readings == sorted(readings)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has CLOCK_BOOTTIME")
def test_clock_of_linux_counts_the_time_asleep() -> None:
    assert boot_clock() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=60)
    assert len(read_boot_id()) == 16


def test_boot_id_stays_the_same() -> None:
    assert read_boot_id() == read_boot_id()


def test_node_uses_that_clock() -> None:
    assert NodeOptions().clock is boot_clock
    assert Node().now == pytest.approx(boot_clock(), abs=60)
