"""Workload: what the nodes of a simulation are asked to do, and what came of it."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.ids import to_int
from kademlua.node.node import Node
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network.traffic_tap import Watch
from kademlua.simulation.nodes.placement_audit import Value
from kademlua.simulation.nodes.population import Member, Population
from kademlua.simulation.rng_streams import Streams
from kademlua.simulation.scenario.scenario import Scenario

_PROOF = 16
_PATIENCE = 120.0
"""Virtual seconds after the end in which what was begun may come to its end."""


@dataclass(slots=True)
class Operation:
    """One add, find or lookup."""

    number: int
    kind: str
    begun: float
    """Seconds since measuring began; adds of the warm-up have it below zero."""
    ended: float = math.nan
    ok: bool = False
    """The value was found, or taken by somebody, or the lookup came to an end."""
    why: str = ""
    """Why not."""
    hops: int = 0
    """Queries one after the other on the way to the nearest node, or to the value."""
    rpcs: int = 0
    """Queries in all; stores of an add are not among them."""
    recall: float = math.nan
    """Of lookups: the share of the true k closest that was found."""
    paths: int = 1
    """Of finds: on how many disjoint ones."""
    crosses: bool = False
    """A find on one side of a former partition of a value that was added on the other."""

    @property
    def seconds(self) -> float:
        """Its virtual latency."""
        return self.ended - self.begun


Listener = Callable[[Operation, Member, bytes], None]
"""Told of each operation when it begins and when it ends."""


class Workload:
    """Drives the nodes; ``operations`` are those that came to an end, in that order."""

    def __init__(self, scenario: Scenario, streams: Streams, population: Population) -> None:
        self._scenario = scenario
        self._streams = streams
        self._population = population
        self.values: list[Value] = []
        """Those that were taken."""
        self._deck: list[Value] = []
        self._count = self._finds = 0
        self._secret = streams.stream("secret").randbytes(32)
        self._under_way = 0
        self._idle = Event()
        self._idle.set()
        self._listeners: list[Listener] = []
        self.operations: list[Operation] = []
        self.abandoned = 0
        """Operations whose own node went away under them."""

    def listen(self, listener: Listener) -> None:
        """Have each operation told to ``listener``, when it begins and when it ends."""
        self._listeners.append(listener)

    def warm_up(self) -> None:
        """Add the values that are there from the beginning; blocks for the warm-up."""
        work = self._scenario.workload
        began = virtual_now()
        values = work.values + round(work.values_a_node * self._scenario.nodes)
        self._pace("values", self._add, values, work.warm_up)
        gevent.sleep(max(0.0, began + work.warm_up - virtual_now()))

    def run(self) -> None:
        """Do all that is measured; blocks for the duration and until all has ended."""
        work, seconds = self._scenario.workload, self._scenario.duration
        paces = [
            gevent.spawn(self._pace, kind, operation, count, seconds)
            for kind, operation, count in (
                ("adds", self._add, work.adds),
                ("finds", self._find, work.finds),
                ("lookups", self._look_up, work.lookups),
            )
        ]
        gevent.sleep(max(0.0, self._scenario.ends - virtual_now()))
        gevent.joinall(paces)
        self._idle.wait(_PATIENCE)

    @property
    def unfinished(self) -> int:
        """Operations that did not come to an end."""
        return self._under_way

    def _pace(
        self, name: str, begin: Callable[[random.Random], None], count: int, seconds: float
    ) -> None:
        """Begin ``count`` operations, spread over so many seconds, somewhat unevenly."""
        chance = self._streams.stream("workload", name)
        began = virtual_now()
        for number in range(count):
            at = began + (number + chance.random()) * seconds / count
            gevent.sleep(max(0.0, at - virtual_now()))
            begin(chance)

    def _add(self, chance: random.Random) -> None:
        key = chance.randbytes(20)
        if self._scenario.sybils is not None:
            key = self._population.target[:-8] + key[-8:]
        value = chance.randbytes(self._scenario.workload.value_bytes)
        if self._scenario.workload.records:
            value += self._proof(key, value)
        writer = self._somebody(chance)
        if writer is None:
            return
        population, node = self._population, writer.node
        assert node is not None
        population.traffic.keys.add(key)

        def work(operation: Operation, watch: Watch) -> None:
            was_parted, born = population.is_parted, virtual_now()
            ttl = self._scenario.workload.ttl or node.params.ttl
            node.add(key, value, ttl=ttl)
            operation.ok = True
            side = writer.side if was_parted or population.is_parted else None
            self.values.append(Value(key, value, side, born, ttl))

        self._begin("add", writer, key, work)

    def _find(self, chance: random.Random) -> None:
        reader = self._somebody(chance)
        sought = self._some_value(chance, reader) if reader is not None else None
        if reader is None or sought is None:
            return
        node, scenario = reader.node, self._scenario.workload
        assert node is not None
        self._finds += 1
        paths = scenario.paths if self._finds % 2 == 0 else 1

        def genuine(values: list[Any]) -> list[Any]:
            return [value for value in values if self._is_genuine(sought.key, value)]

        def work(operation: Operation, watch: Watch) -> None:
            operation.paths = paths
            operation.crosses = sought.side is not None and sought.side != reader.side
            if scenario.records:
                answers = node.find_value(sought.key, 1, accept=genuine, paths=paths)
            else:
                answers = node.find_value(sought.key, paths=paths)
            operation.ok = any(sought.value in answer.values for answer in answers)
            if operation.ok:
                operation.hops = min(_depth(watch, answer.contact, node) for answer in answers)
            else:
                operation.why = "not found"

        self._begin("find", reader, sought.key, work)

    def _proof(self, key: bytes, value: bytes) -> bytes:
        """What stands for the signature of a record."""
        return hashlib.blake2b(key + value, key=self._secret, digest_size=_PROOF).digest()

    def _is_genuine(self, key: bytes, value: object) -> bool:
        return isinstance(value, bytes) and value[-_PROOF:] == self._proof(key, value[:-_PROOF])

    def _look_up(self, chance: random.Random) -> None:
        target = chance.randbytes(20)
        seeker = self._somebody(chance)
        if seeker is None:
            return
        node = seeker.node
        assert node is not None

        def work(operation: Operation, watch: Watch) -> None:
            since = virtual_now()
            found = node.find_node(target)
            truth = self._population.closest(target, seeker, since, node.params.k)
            operation.recall = recall(to_int(target), found, truth, node.params.k)
            operation.ok = bool(found)
            if found:
                operation.hops = watch.depth(found[0])
            else:
                operation.why = "nobody found"

        self._begin("lookup", seeker, target, work)

    def _begin(
        self, kind: str, member: Member, key: bytes, work: Callable[[Operation, Watch], None]
    ) -> None:
        self._count += 1
        self._under_way += 1
        self._idle.clear()
        operation = Operation(self._count, kind, virtual_now() - self._scenario.begins)
        gevent.spawn(self._do, operation, member, key, work)

    def _do(
        self,
        operation: Operation,
        member: Member,
        key: bytes,
        work: Callable[[Operation, Watch], None],
    ) -> None:
        node, tap = member.node, member.tap
        if node is not None and tap is not None:
            self._tell(operation, member, key)
            watch = tap.watch(key, seeds(node, key))
            try:
                work(operation, watch)
            except KademluaError as error:
                operation.why = f"{type(error).__name__}: {error}"
            tap.unwatch(key)
            operation.rpcs = watch.rpcs
            operation.ended = virtual_now() - self._scenario.begins
        if node is None or member.node is not node:
            self.abandoned += 1
        else:
            self.operations.append(operation)
            self._tell(operation, member, key)
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    def _tell(self, operation: Operation, member: Member, key: bytes) -> None:
        for listener in self._listeners:
            listener(operation, member, key)

    def _somebody(self, chance: random.Random) -> Member | None:
        """Any living node that is awake."""
        living = self._population.living
        for _ in range(100):
            member = chance.choice(living) if living else None
            if member is not None and not member.is_paused:
                return member
        return None

    def _some_value(self, chance: random.Random, reader: Member) -> Value | None:
        """One after the other in an order of chance, so that each has its turn; but none that
        was added beyond a border that stands now, or whose time is over."""
        now = virtual_now()
        is_parted = self._population.is_parted
        for _ in range(len(self.values)):
            if not self._deck:
                self._deck = chance.sample(self.values, len(self.values))
            value = self._deck.pop()
            is_over = now > value.born + 0.99 * value.ttl
            if not is_over and not (is_parted and value.side not in (None, reader.side)):
                return value
        return None


def _depth(watch: Watch, contact: Contact, node: Node) -> int:
    """How deep a lookup met a node; 0 for the node itself, which needs no query."""
    return 0 if contact.id == node.id else watch.depth(contact)


def seeds(node: Node, key: bytes) -> list[Endpoint]:
    """Whom a node's lookup of a key begins with."""
    return [contact.endpoint for contact in node.table.closest(key, node.params.k)]


def recall(target: int, found: list[Contact], truth: list[int], k: int) -> float:
    """The share of the truly closest that a lookup found.

    Who is farther than all of k that were found is not missed: among those may be ones that
    live and count as unreachable, such as nodes behind NAT that this one knows.
    """
    if not truth:
        return 1.0
    numbers = {contact.number for contact in found}
    farthest = max((number ^ target for number in numbers), default=0)
    is_full = len(numbers) >= k
    missed = sum(
        number not in numbers and not (is_full and number ^ target > farthest) for number in truth
    )
    return 1 - missed / len(truth)
