"""Churn: nodes that die and come by themselves, as they do in networks of people's machines."""

from __future__ import annotations

import math
import random

import gevent

from kademlua.swarm.members import Members, SwarmRefusal

_AWAY = 0.1
"""How long a dead node stays away on average, as a share of the median of a session."""
_IDLE = 1.0


def churn(members: Members, median: float) -> None:
    """Let nodes die so that half of all sessions last longer than ``median`` seconds; after each
    another comes. Never returns.

    Sessions are exponential, so it is the same which of the nodes dies next.
    """
    rng = random.SystemRandom()
    while True:
        living = members.joined
        if living == 0:
            gevent.sleep(_IDLE)
            continue
        gevent.sleep(rng.expovariate(living * math.log(2) / median))
        try:
            members.kill()
        except SwarmRefusal:
            continue
        gevent.spawn_later(rng.expovariate(1 / (_AWAY * median)), _come, members)


def _come(members: Members) -> None:
    try:
        members.join()
    except SwarmRefusal:  # somebody else was quicker
        pass
