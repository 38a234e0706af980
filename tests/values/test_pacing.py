"""Pacing of upkeep: what is sent without waiting delays what follows."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Params
from kademlua.values.pacing import UpkeepPacer
from tests.support.world import World

RATE = 10_000


def pacer(world: World) -> UpkeepPacer:
    node = world.node(params=Params(replication_bytes_per_second=RATE))
    return UpkeepPacer(node.services.context)


def test_requests_keep_the_rate(world: World) -> None:
    paced = pacer(world)
    for _ in range(10):
        paced.wait(1_000, 20)
    assert world.now == pytest.approx(10 * 20 * 1_000 / RATE)


def test_retransmissions_and_fallbacks_count(world: World) -> None:
    paced = pacer(world)
    for _ in range(10):
        paced.wait(1_000, 1)
        paced.charge(1_000, 9)
    paced.wait(1_000, 1)
    assert world.now == pytest.approx(101 * 1_000 / RATE)


def test_idle_time_is_saved_for_a_short_burst_only(world: World) -> None:
    paced = pacer(world)
    gevent.sleep(1_000)
    paced.wait(1_000, 20)
    assert world.now == pytest.approx(1_000 + 20 * 1_000 / RATE - 0.5)
