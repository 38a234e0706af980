"""Tables prefer contacts with short round trips, where a network has long and short ones."""

from __future__ import annotations

from statistics import mean

import gevent

from kademlua import Params
from kademlua.core.routing.selection import NEAR_BUCKETS
from tests.support.world import ONE_WAY, World


def test_far_buckets_get_contacts_nearby() -> None:
    world = World(has_coordinates=True)
    round_trips: list[float] = []

    def test() -> None:
        nodes = world.network(60, params=Params(k=3, replicas=3))
        gevent.sleep(600)
        for node in nodes:
            for bucket in node.table.buckets[:-NEAR_BUCKETS]:
                youngest = node.table.get(bucket.contacts[-1].id)
                assert youngest is not None
                round_trips.append(youngest.rtt.srtt)

    world.run(test)
    assert mean(round_trips) < 0.85 * 2 * ONE_WAY
