"""Churn: members depart after random session times, and return or are replaced."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import gevent

from kademlua.node.node import Node
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import ChurnSettings

if TYPE_CHECKING:
    from kademlua.simulation.nodes.population import Population


class Churn:
    """Schedules departures and what follows them.

    Each session draws from a stream of its own, so one more session does not change the others.
    """

    def __init__(
        self, settings: ChurnSettings, streams: RngStreams, population: Population
    ) -> None:
        self._settings = settings
        self._streams = streams
        self._population = population

    def schedule_departure(self, member: PopulationMember, begins: float = 0.0) -> None:
        """Schedule the end of a session that begins in ``begins`` seconds; permanent members
        stay."""
        node, settings = member.node, self._settings
        if member.is_permanent or node is None:
            return
        rng = self._streams.stream("session", member.number, member.incarnation)
        # Weibull by inversion; shape 1 is the exponential distribution.
        scale = settings.median / math.log(2) ** (1 / settings.shape)
        seconds = scale * (-math.log(1 - rng.random())) ** (1 / settings.shape)
        gevent.spawn_later(begins + seconds, self._depart, member, node, rng)

    def _depart(self, member: PopulationMember, node: Node, rng: random.Random) -> None:
        settings = self._settings
        if member.node is not node:
            return  # an event already stopped this node
        self._population.remove(member, graceful=rng.random() < settings.graceful)
        if rng.random() < settings.returns:
            downtime = rng.expovariate(1 / settings.away) if settings.away else 0.0
            gevent.spawn_later(downtime, self._population.start, member)
        else:
            self._population.start_new_member()
