"""Churn: nodes that die and come by themselves, as they do in networks of people's machines."""

from __future__ import annotations

import math
import random

import gevent

from kademlua.swarm.members import Members, SwarmRefusal

_DOWNTIME_RATIO = 0.1
"""How long a dead node stays away on average, as a share of the median of a session."""
_IDLE_SECONDS = 1.0


def run_churn(members: Members, median_seconds: float) -> None:
    """Let nodes die so that half of all sessions last longer than ``median_seconds`` seconds;
    after each another comes. Never returns.

    Sessions are exponential, so it is the same which of the nodes dies next.
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
    except SwarmRefusal:  # somebody else was quicker
        pass
