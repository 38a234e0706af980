"""The part of the workload with watches: keys that some nodes watch, and others change."""

from __future__ import annotations

import random
from typing import Final

import gevent
from gevent.event import Event

from kademlua.core.errors import KademluaError
from kademlua.core.watch.changes import ChangeKind
from kademlua.core.wire.replies import encode_value
from kademlua.node.node import Node
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network.traffic_tap import LookupWatch
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.nodes.object_workload import OperationRunner
from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.scenario.scenario import Scenario
from kademlua.values.watch.key_watcher import HOLDER_COUNT

FINISH_SECONDS: Final = 119.0
"""Seconds after the measured time in which a change may be seen."""
_POLL_SECONDS: Final = 0.005
_VALUE_BYTES: Final = 16


class WatchedKey:
    """A key with the one node that changes it, and one that watches it."""

    def __init__(self, key: bytes, writer: PopulationMember, watcher: PopulationMember) -> None:
        self.key = key
        self.writer = writer
        self.watcher = watcher
        self.seen: object = None
        """The value that the watcher knows."""
        self._has_changed = Event()

    def follow(self) -> None:
        """Watch the key without end."""
        for change in self.watcher.live_node.watch(self.key):
            is_there = change.kind in (ChangeKind.ADDED, ChangeKind.REPLACED)
            self.seen = change.value if is_there else None
            self._has_changed.set()

    def wait_until_seen(self, value: bytes, timeout: float) -> bool:
        """Return whether the watcher learns of a value within ``timeout`` seconds."""
        until = virtual_now() + timeout
        while self.seen != value and virtual_now() < until:
            self._has_changed.clear()
            self._has_changed.wait(until - virtual_now())
        return self.seen == value


class WatchWorkload:
    """Changes watched keys, one after the other, and notes when the watchers are told.

    The nodes that watch and change are among those that never leave.
    """

    def __init__(self, scenario: Scenario, runner: OperationRunner, population: Population) -> None:
        self._scenario = scenario
        self._runner = runner
        self._population = population
        self._keys: list[WatchedKey] = []
        self._change_count = 0

    def start_watch(self, rng: random.Random) -> None:
        """Begin to watch a key."""
        members = sorted(self._population.live_members, key=lambda each: each.number)
        permanent = [each for each in members if each.is_permanent]
        if len(permanent) >= 2:
            watched = WatchedKey(rng.randbytes(20), *rng.sample(permanent, 2))
            self._population.traffic.value_keys.add(watched.key)
            self._keys.append(watched)
            gevent.spawn(watched.follow)

    def start_change(self, rng: random.Random) -> None:
        """Change the next key. It succeeds if the watcher learns of it before the next change.

        The time begins when one of the watched holders has the new value.
        """
        if not self._keys:
            return
        watched = self._keys[self._change_count % len(self._keys)]
        self._change_count += 1
        value = rng.randbytes(_VALUE_BYTES)

        def execute(operation: WorkloadOperation, _: LookupWatch) -> None:
            node = watched.writer.live_node
            adding = gevent.spawn(_add, node, watched.key, value)
            while watched.seen != value and not self._is_stored(watched, node, value):
                if adding.ready():
                    operation.failure_reason = "not stored at a watched holder"
                    return
                gevent.sleep(_POLL_SECONDS)
            operation.started_at = virtual_now() - self._scenario.measure_start
            operation.ok = watched.wait_until_seen(value, self._seconds_left())
            if not operation.ok:
                operation.failure_reason = "not seen"

        self._runner.spawn("change", watched.writer, watched.key, execute)

    def _seconds_left(self) -> float:
        """Return the seconds until the next change of the same key, or until the end."""
        work = self._scenario.workload
        period = self._scenario.duration * (len(self._keys) - 1) / work.changes
        return min(period, self._scenario.measure_end + FINISH_SECONDS - virtual_now())

    def _is_stored(self, watched: WatchedKey, owner: Node, value: bytes) -> bool:
        closest = self._population.live_near(watched.key, HOLDER_COUNT)
        entries = (
            each.live_node.datastore.find(watched.key, owner.contact)
            for each in (*closest, watched.watcher)
        )
        return any(each is not None and each.encoded == encode_value(value) for each in entries)


def _add(node: Node, key: bytes, value: bytes) -> None:
    try:
        node.add(key, value)
    except KademluaError:
        pass  # the change then counts as not seen
