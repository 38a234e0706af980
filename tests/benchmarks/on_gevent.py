"""A network of Kademlua nodes."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import gevent
from gevent.pool import Pool

from kademlua import ContactPool, KademluaError, Node, NodeOptions, Params
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.garbage_collection import relaxed_garbage_collection
from tests.benchmarks.measuring import Job, Kind, Recorder

_JOINING = 8
"""As many join at once as in ``kademlua bench``."""
_GROWTH = 1.02


class KademluaNetwork:
    """Nodes of one process that share a pool of contacts."""

    def __init__(self, replicas: int) -> None:
        self._params = Params(replicas=replicas)
        self._pool = ContactPool()
        self._nodes: list[Node] = []

    def bring_up(self, count: int) -> None:
        """Start nodes and return when all have joined."""
        first = Node(params=self._params, options=NodeOptions(contact_pool=self._pool))
        first.start()
        self._nodes.append(first)
        bootstrap = [first.contact.endpoint]

        def join(_: int) -> None:
            node = Node(
                params=self._params,
                bootstrap=bootstrap,
                options=NodeOptions(contact_pool=self._pool),
            )
            self._nodes.append(node)
            node.start()
            node.wait_joined()

        with relaxed_garbage_collection():  # as the launcher of swarms does
            Pool(_JOINING).map(join, range(count - 1))
        if not all(node.joined for node in self._nodes):
            raise RuntimeError("a node did not join")

    def settle(self) -> None:
        """Look up random keys until the tables grow no more, as its peers' do: upkeep comes
        to that by and by."""
        before, contacts = 0, 1
        while contacts > _GROWTH * before:
            for node in self._nodes:
                node.find_node(random.randbytes(20))
            before, contacts = contacts, sum(len(node.table) for node in self._nodes)

    def rest(self, seconds: float) -> None:
        """Let the nodes run with nothing to do."""
        gevent.sleep(seconds)

    def perform(self, kind: Kind, jobs: Sequence[Job], at_once: int, recorder: Recorder) -> None:
        """Each job in a greenlet, or in this one where there is but one at a time."""
        operation = self._put if kind == "put" else self._get

        def one(job: Job) -> None:
            began = time.perf_counter()
            try:
                succeeded = operation(job)
            except KademluaError:
                succeeded = False
            recorder.ended(began, succeeded)

        if at_once == 1:
            for job in recorder.while_there_is_time(jobs):
                one(job)
            return
        greenlets = Pool(at_once)
        for job in recorder.while_there_is_time(jobs):
            greenlets.spawn(one, job)
        greenlets.join()

    def stop(self, indexes: Sequence[int]) -> None:
        """Close nodes; a closed one tells nobody."""
        for index in indexes:
            self._nodes[index].close(hand_over=False)

    def lost(self, jobs: Sequence[Job], survivors: Sequence[int]) -> int:
        """How many values no survivor holds."""
        now = boot_clock()
        stores = [self._nodes[index].datastore for index in survivors]
        return sum(not any(store.get(job.key, 1, now) for store in stores) for job in jobs)

    def calls(self) -> int:
        """How many RPCs all nodes have sent, without retransmissions."""
        return sum(sum(node.stats()["calls_by_rpc"].values()) for node in self._nodes)

    def _put(self, job: Job) -> bool:
        return bool(self._nodes[job.writer].add(job.key, job.value).acknowledged)

    def _get(self, job: Job) -> bool:
        answers = self._nodes[job.reader].find_value(job.key, max_nodes=1)
        return any(job.value in answer.values for answer in answers)
