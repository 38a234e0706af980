"""Tables prefer contacts with short round trips, where a network has long and short ones."""

from __future__ import annotations

from statistics import mean

import gevent

from kademlua import Params
from tests.support.world import ONE_WAY, World


def test_far_buckets_get_contacts_nearby() -> None:
    world = World(has_coordinates=True)
    round_trips: list[float] = []

    def test() -> None:
        nodes = world.network(60, params=Params(k=4, replicas=4))
        gevent.sleep(600)
        for node in nodes:
            far, half = node.table.buckets[0], 2
            entries = (node.table.get(each.id) for each in far.contacts)
            round_trips.extend(each.rtt.srtt for each in [*entries][half:] if each is not None)

    world.run(test)
    assert mean(round_trips) < 0.65 * 2 * ONE_WAY
