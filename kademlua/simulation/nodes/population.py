"""Population: the nodes, how they come and go, and who lives just now."""

from __future__ import annotations

import math
import random

import gevent

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.ids import random_id, to_int
from kademlua.node.node import Node
from kademlua.runtime.transport import Transport
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network import addresses
from kademlua.simulation.network.adversaries import Attackers, HostileTransport, Sybil, id_near
from kademlua.simulation.network.id_index import IdIndex
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.network.traffic_tap import TrafficCounter, TrafficTap
from kademlua.simulation.nodes.churn import Churn
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import Scenario, SybilSettings

_PORT = 4000
_FLOODED_NODES = 40
"""Honest nodes next to the key that a sybil pings, and others."""
_FLOOD_INTERVAL = 60.0
_JOIN_POLL_SECONDS = 1.0


class Population:
    """All members of one simulated network. Chance comes from a stream per concern and
    member, so that one more of them leaves the others as they are."""

    def __init__(self, scenario: Scenario, streams: RngStreams, network: VirtualNetwork) -> None:
        self._scenario = scenario
        self._streams = streams
        self._network = network
        self._pool = ContactPool(max(32_768, 2 * scenario.nodes))
        self._bootstrap_rng = streams.stream("bootstrap")
        self._event_rng = streams.stream("events")
        self._churn: Churn | None = None
        self._members: list[PopulationMember] = []
        self._running_by_id: dict[bytes, PopulationMember] = {}
        self._by_id_int: dict[int, PopulationMember] = {}
        self.traffic = TrafficCounter()
        """Of the honest nodes."""
        self._hostile_traffic = TrafficCounter()
        self.attackers = Attackers(self._pool)
        self.attacked_key = streams.stream("target").randbytes(20)
        """The key next to which sybils are."""
        self.live_ids = IdIndex()
        self.live_members: list[PopulationMember] = []
        """Who has joined and not left, in no order that means anything; honest ones only."""
        self.is_partitioned = False
        self.arrivals = self.departures = 0
        """Comings and goings since churn began."""

    # Coming.

    def start_all(self) -> None:
        """Bring up all nodes, one after the other; blocks until the last was started."""
        count = self._scenario.nodes
        started_at = virtual_now()
        for number in range(count):
            gevent.sleep(
                max(0.0, started_at + number * self._scenario.join / count - virtual_now())
            )
            self.start_new_member()
            if number == 0:
                gevent.sleep(0)
        gevent.sleep(max(0.0, started_at + self._scenario.join - virtual_now()))

    def start_new_member(self) -> None:
        """Create the next member and start its node."""
        self.start(self._new_member())

    def _new_member(self) -> PopulationMember:
        number, scenario = len(self._members), self._scenario
        rng = self._streams.stream("member", number)
        node_id = random_id(rng)
        is_public = rng.random() >= scenario.network.nat or number == 0
        is_permanent = scenario.churn is None or rng.random() < scenario.churn.stays
        address = (
            addresses.public_address
            if scenario.uses_public_addresses
            else addresses.private_address
        )
        endpoint = (address(number), _PORT)
        member = PopulationMember(
            number, node_id, endpoint, is_public=is_public, is_permanent=is_permanent
        )
        hostile = scenario.hostile
        if number and rng.random() < hostile.share:  # who is asked first is honest
            member.behaviour = rng.choice(hostile.behaviours)
        return self._register(member, rng)

    def _register(self, member: PopulationMember, rng: random.Random) -> PopulationMember:
        if self.is_partitioned:
            member.partition_side = rng.randrange(2)
        self._members.append(member)
        self._by_id_int[to_int(member.id)] = member
        return member

    def add_sybils(self, sybils: SybilSettings) -> None:
        """Bring up the sybils; blocks until the last was started."""
        started_at = virtual_now()
        for number in range(sybils.count):
            gevent.sleep(max(0.0, started_at + number * sybils.join / sybils.count - virtual_now()))
            self._add_sybil(sybils, number)
        gevent.sleep(max(0.0, started_at + sybils.join - virtual_now()))

    def _add_sybil(self, sybils: SybilSettings, number: int) -> None:
        rng = self._streams.stream("sybil", number)
        endpoint = addresses.address_in_subnet(number % sybils.networks, number // sybils.networks)
        node_id = id_near(self.attacked_key, sybils.bits, rng)
        member = PopulationMember(
            len(self._members), node_id, endpoint, is_public=True, is_permanent=True
        )
        member.behaviour = rng.choice(sybils.behaviours)
        self._register(member, rng)
        self._running_by_id[node_id] = member
        self.attackers.add(node_id, endpoint)
        gevent.spawn(
            self._flood_periodically, Sybil(self._hostile_transport(member, rng), rng), rng
        )

    def _flood_periodically(self, sybil: Sybil, rng: random.Random) -> None:
        """Have the honest ones next to the key, and some others, look at it every minute."""
        while True:
            ids = self.live_ids.closest(to_int(self.attacked_key), _FLOODED_NODES, lambda _: True)
            others = [self._by_id_int[number] for number in ids]
            others += rng.sample(self.live_members, min(_FLOODED_NODES, len(self.live_members)))
            sybil.flood([other.endpoint for other in others])
            gevent.sleep(_FLOOD_INTERVAL)

    def _hostile_transport(self, member: PopulationMember, rng: random.Random) -> HostileTransport:
        member.tap = TrafficTap(self._network.transport(*member.endpoint), self._hostile_traffic)
        return HostileTransport(member.tap, member.behaviour, self.attackers, member.id, rng)

    def start(self, member: PopulationMember) -> None:
        """Start a member's node; it counts as living when it has joined."""
        member.incarnation += 1
        if not member.is_public:
            self._network.enable_nat(member.endpoint, timeout=self._scenario.network.nat_seconds)
        if self.is_partitioned:
            self._apply_partition()
        transport: Transport
        if member.behaviour:
            rng = self._streams.stream("hostile", member.number, member.incarnation)
            transport = self._hostile_transport(member, rng)
        else:
            transport = member.tap = TrafficTap(
                self._network.transport(*member.endpoint), self.traffic
            )
        member.node = Node(
            member.endpoint[1],
            member.endpoint[0],
            id=member.id,
            bootstrap=self._bootstrap_endpoints(member),
            params=self._scenario.params,
            clock=virtual_now,
            wall_clock=virtual_now,
            rng=self._streams.stream("node", member.number, member.incarnation),
            transport=transport,
            pool=self._pool,
        )
        if isinstance(transport, HostileTransport):
            transport.table = member.node.table
        self._running_by_id[member.id] = member
        member.node.start()
        gevent.spawn(self._await_join, member, member.node)

    def _bootstrap_endpoints(self, member: PopulationMember) -> list[Endpoint]:
        """Living nodes that anybody can reach, for a newcomer to begin with."""
        chosen: dict[Endpoint, None] = {}
        wanted = self._scenario.bootstraps
        if not self.live_members:  # the first ones all know the very first
            first = self._members[0]
            return [first.endpoint] if first is not member else []
        for _ in range(20 * wanted):
            other = self._bootstrap_rng.choice(self.live_members)
            if other.is_public and other is not member and self.are_connected(member, other):
                chosen[other.endpoint] = None
                if len(chosen) == wanted:
                    break
        return list(chosen)

    def _await_join(self, member: PopulationMember, node: Node) -> None:
        node.wait_joined()
        while not node.joined:
            if member.node is not node:
                return
            gevent.sleep(_JOIN_POLL_SECONDS)
        member.joined_at = virtual_now()
        if member.behaviour:
            self.attackers.add(member.id, member.endpoint)
            return
        member.live_index = len(self.live_members)
        self.live_members.append(member)
        self.live_ids.add(to_int(member.id))
        if self._churn is not None:
            self.arrivals += 1
            self._churn.schedule_departure(member)

    # Going.

    def start_churn(self) -> None:
        """From now on members leave, return and are replaced."""
        if self._scenario.churn is not None:
            self._churn = Churn(self._scenario.churn, self._streams, self)
            for member in sorted(self.live_members, key=lambda each: each.number):
                self._churn.schedule_departure(member)

    def remove(self, member: PopulationMember, *, graceful: bool = False) -> None:
        """End a member's node: in order, or without a word."""
        node, tap = member.node, member.tap
        assert node is not None
        assert tap is not None
        member.node = member.tap = None
        member.joined_at = math.inf
        self.departures += 1
        del self._running_by_id[member.id]
        if member.live_index >= 0:
            self.live_ids.remove(to_int(member.id))
            last = self.live_members.pop()
            if last is not member:
                self.live_members[member.live_index] = last
                last.live_index = member.live_index
            member.live_index = -1
        if graceful:
            gevent.spawn(node.close)
        else:
            tap.disconnect()
            node.close(hand_over=False)

    # What befalls many at once.

    def vanish(self, share: float) -> None:
        """A share of the living is gone without a word, at one moment."""
        for member in self._pick_live_members(share):
            self.remove(member)

    def pause(self, share: float, seconds: float) -> None:
        """A share of the living hears and says nothing for so long."""
        for member in self._pick_live_members(share):
            member.is_paused = True
            self._network.pause(member.endpoint)
            gevent.spawn_later(seconds, self._resume, member)

    def _resume(self, member: PopulationMember) -> None:
        member.is_paused = False
        self._network.resume(member.endpoint)

    def partition(self, share: float) -> None:
        """Part the network in two; the first side has this share of the living."""
        chosen = {member.number for member in self._pick_live_members(share)}
        for member in self._members:
            member.partition_side = 0 if member.number in chosen else 1
        self.is_partitioned = True
        self._apply_partition()

    def heal(self) -> None:
        """One network again."""
        self.is_partitioned = False
        self._network.heal()

    def _apply_partition(self) -> None:
        self._network.partition(
            [
                {each.endpoint for each in self._members if each.partition_side == side}
                for side in (0, 1)
            ]
        )

    def _pick_live_members(self, share: float) -> list[PopulationMember]:
        members = sorted(self.live_members, key=lambda each: each.number)
        return self._event_rng.sample(members, round(share * len(members)))

    # What is true.

    def are_connected(self, one: PopulationMember, other: PopulationMember) -> bool:
        """Whether no partition stands between two."""
        return not self.is_partitioned or one.partition_side == other.partition_side

    def closest(
        self, target: bytes, searcher: PopulationMember, joined_before: float, count: int
    ) -> list[int]:
        """The nodes that a lookup by ``searcher`` should find: the nearest to the target of
        those that joined before ``joined_before``, live, and can be reached by anybody on its
        side."""
        members = self._by_id_int

        def is_wanted(number: int) -> bool:
            member = members[number]
            return (
                member.joined_at < joined_before
                and member.is_public
                and not member.is_paused
                and member is not searcher
                and self.are_connected(member, searcher)
            )

        return self.live_ids.closest(to_int(target), count, is_wanted)

    def hostile_near_key(self) -> float:
        """The share of hostile ones among the contacts next to the key that the honest nodes
        next to it would tell of."""
        if not len(self.attackers):
            return 0.0
        k = self._scenario.params.k
        contacts: list[Contact] = []
        for number in self.live_ids.closest(to_int(self.attacked_key), k, lambda _: True):
            node = self._by_id_int[number].node
            if node is not None:
                contacts += node.table.closest(self.attacked_key, k)
        return sum(contact in self.attackers for contact in contacts) / max(len(contacts), 1)

    def expected_replicas(self, key: bytes) -> list[PopulationMember]:
        """Who should hold a value now: the living that are the closest to its key."""
        ids = self.live_ids.closest(
            to_int(key), self._scenario.params.replicas, lambda number: True
        )
        return [self._by_id_int[number] for number in ids]

    def is_running(self, contact: Contact) -> bool:
        """Whether the node that a contact names runs, joined or not."""
        member = self._running_by_id.get(contact.id)
        return member is not None and member.endpoint == contact.endpoint
