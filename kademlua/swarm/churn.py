"""Churn: nodes that fail and join at random, as in networks of home machines."""

from __future__ import annotations

import math
import random

import gevent

from kademlua.swarm.members import Members, SwarmRefusal

_DOWNTIME_RATIO = 0.1
"""Mean downtime, as a fraction of the median session."""
_IDLE_SECONDS = 1.0


def run_churn(members: Members, median_seconds: float) -> None:
    """Kill and start nodes, with a median session of ``median_seconds``. Never returns.

    Sessions are exponential, which has no memory, so any node may be the next to fail.
    """
    rng = random.SystemRandom()
    while True:
        joined_count = members.joined_count
        if joined_count == 0:
            gevent.sleep(_IDLE_SECONDS)
            continue
        gevent.sleep(rng.expovariate(joined_count * math.log(2) / median_seconds))
        try:
            members.kill()
        except SwarmRefusal:
            continue
        gevent.spawn_later(
            rng.expovariate(1 / (_DOWNTIME_RATIO * median_seconds)), _start_one, members
        )


def _start_one(members: Members) -> None:
    try:
        members.start()
    except SwarmRefusal:  # the page started a node meanwhile
        pass
