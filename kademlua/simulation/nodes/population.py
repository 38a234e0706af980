"""The simulated nodes: their joins, their departures, and the true state of the network."""

from __future__ import annotations

import math
import random

import gevent

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.ids import random_id, to_int
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.runtime.transport import Transport
from kademlua.simulation.clock.loop import sleep_until, virtual_loop, virtual_now
from kademlua.simulation.network.addresses import private_address, public_address
from kademlua.simulation.network.adversaries import Attackers, HostileTransport
from kademlua.simulation.network.id_index import IdIndex
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.network.traffic_tap import TrafficCounter, TrafficTap
from kademlua.simulation.nodes.churn import Churn
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import Scenario

_PORT = 4000
_JOIN_POLL_SECONDS = 1.0


class Population:
    """All members of one simulated network.

    Each concern of each member draws from its own random stream, so one more member does not
    change the others.
    """

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
        """The traffic of the honest nodes."""
        self._hostile_traffic = TrafficCounter()
        self.attackers = Attackers(self._pool)
        self.attacked_key = streams.stream("target").randbytes(20)
        """The key that Sybils surround."""
        self.live_ids = IdIndex()
        self.live_members: list[PopulationMember] = []
        """Honest members that have joined and not left, in arbitrary order."""
        self.is_partitioned = False
        self.arrivals = self.departures = 0
        """Joins since churn began, and departures since the start."""

    def start_all(self) -> None:
        """Start all nodes, spread over the scenario's ``join`` seconds, and block meanwhile."""
        count = self._scenario.nodes
        started_at = virtual_now()
        for number in range(count):
            sleep_until(started_at + number * self._scenario.join / count)
            self.start_new_member()
            if number == 0:
                gevent.sleep(0)
        sleep_until(started_at + self._scenario.join)

    def start_new_member(self) -> None:
        """Create the next member and start its node."""
        self.start(self._new_member())

    def _new_member(self) -> PopulationMember:
        number, scenario = len(self._members), self._scenario
        rng = self._streams.stream("member", number)
        node_id = random_id(rng)
        is_public = rng.random() >= scenario.network.nat or number == 0
        is_permanent = scenario.churn is None or rng.random() < scenario.churn.stays
        address = public_address if scenario.uses_public_addresses else private_address
        endpoint = (address(number), _PORT)
        member = PopulationMember(
            number, node_id, endpoint, is_public=is_public, is_permanent=is_permanent
        )
        hostile = scenario.hostile
        if number and rng.random() < hostile.share:  # the first bootstrap node is honest
            member.behaviour = rng.choice(hostile.behaviours)
        return self._register(member, rng)

    def add_sybil(
        self, node_id: bytes, endpoint: Endpoint, rng: random.Random, behaviours: tuple[str, ...]
    ) -> HostileTransport:
        """Add a hostile member without a node, and return its transport."""
        member = PopulationMember(len(self._members), node_id, endpoint)
        member.behaviour = rng.choice(behaviours)
        self._register(member, rng)
        self._running_by_id[node_id] = member
        self.attackers.add(node_id, endpoint)
        return self._hostile_transport(member, rng)

    def _register(self, member: PopulationMember, rng: random.Random) -> PopulationMember:
        if self.is_partitioned:
            member.partition_side = rng.randrange(2)
        self._members.append(member)
        self._by_id_int[to_int(member.id)] = member
        return member

    def _hostile_transport(self, member: PopulationMember, rng: random.Random) -> HostileTransport:
        member.tap = TrafficTap(self._network.transport(*member.endpoint), self._hostile_traffic)
        return HostileTransport(member.tap, member.behaviour, self.attackers, member.id, rng)

    def start(self, member: PopulationMember) -> None:
        """Start a member's node; the member counts as live once the node has joined."""
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
        clock = virtual_loop().now
        member.node = Node(
            member.endpoint[1],
            member.endpoint[0],
            bootstrap=self._bootstrap_endpoints(member),
            params=self._scenario.params,
            options=NodeOptions(
                id=member.id,
                clock=clock,
                wall_clock=clock,
                rng=self._streams.stream("node", member.number, member.incarnation),
                transport=transport,
                contact_pool=self._pool,
            ),
        )
        if isinstance(transport, HostileTransport):
            transport.table = member.node.table
        self._running_by_id[member.id] = member
        member.node.start()
        gevent.spawn(self._await_join, member, member.node)

    def _bootstrap_endpoints(self, member: PopulationMember) -> list[Endpoint]:
        """Pick publicly reachable live nodes for a new node to bootstrap from."""
        chosen: dict[Endpoint, None] = {}
        wanted = self._scenario.bootstraps
        if not self.live_members:  # until one has joined, all bootstrap from the first
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
        self.live_members.append(member)
        self.live_ids.add(to_int(member.id))
        if self._churn is not None:
            self.arrivals += 1
            self._churn.schedule_departure(member)

    def start_churn(self) -> None:
        """Start departures, returns and replacements, if the scenario has churn."""
        settings = self._scenario.churn
        if settings is not None:
            self._churn = Churn(settings, self._streams, self)
            for member in sorted(self.live_members, key=lambda each: each.number):
                self._churn.schedule_departure(member, settings.begins)

    def remove(self, member: PopulationMember, *, graceful: bool = False) -> None:
        """Stop a live member's node: with a handover if ``graceful``, else without any packet."""
        node, tap = member.live_node, member.tap
        assert tap is not None
        member.node = member.tap = None
        member.joined_at = math.inf
        self.departures += 1
        del self._running_by_id[member.id]
        self.live_ids.remove(to_int(member.id))
        self.live_members[self.live_members.index(member)] = self.live_members[-1]
        self.live_members.pop()
        if graceful:
            gevent.spawn(node.close)
        else:
            tap.disconnect()
            node.close(hand_over=False)

    def vanish(self, share: float) -> None:
        """Stop a share of the live nodes at the same moment, without any packet."""
        for member in self._pick_live_members(share):
            self.remove(member)

    def pause(self, share: float, seconds: float) -> None:
        """Cut a share of the live nodes off the network for ``seconds``."""
        for member in self._pick_live_members(share):
            member.is_paused = True
            self._network.pause(member.endpoint)
            gevent.spawn_later(seconds, self._resume, member)

    def _resume(self, member: PopulationMember) -> None:
        member.is_paused = False
        self._network.resume(member.endpoint)

    def partition(self, share: float) -> None:
        """Divide the network in two; ``share`` of the live nodes form the first side."""
        chosen = {member.number for member in self._pick_live_members(share)}
        for member in self._members:
            member.partition_side = 0 if member.number in chosen else 1
        self.is_partitioned = True
        self._apply_partition()

    def heal(self) -> None:
        """End the partition."""
        self.is_partitioned = False
        self._network.heal()

    def _apply_partition(self) -> None:
        sides: list[set[Endpoint]] = [set(), set()]
        for member in self._members:
            sides[member.partition_side].add(member.endpoint)
        self._network.partition(sides)

    def _pick_live_members(self, share: float) -> list[PopulationMember]:
        members = sorted(self.live_members, key=lambda each: each.number)
        return self._event_rng.sample(members, round(share * len(members)))

    def are_connected(self, one: PopulationMember, other: PopulationMember) -> bool:
        """Return whether no partition separates two members."""
        return not self.is_partitioned or one.partition_side == other.partition_side

    def live_near(self, target: bytes, count: int) -> list[PopulationMember]:
        """Return the ``count`` live members closest to the target."""
        ids = self.live_ids.closest(to_int(target), count)
        return [self._by_id_int[number] for number in ids]

    def closest(
        self, target: bytes, searcher: PopulationMember, joined_before: float, count: int
    ) -> list[int]:
        """Return the ids that a lookup by ``searcher`` should find.

        These are the closest live public nodes on the searcher's side that joined before
        ``joined_before``.
        """
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
        """Return the hostile share of the contacts that honest nodes near the key return."""
        if not len(self.attackers):
            return 0.0
        k = self._scenario.params.k
        contacts: list[Contact] = []
        for member in self.live_near(self.attacked_key, k):
            contacts += member.live_node.table.closest(self.attacked_key, k)
        return sum(contact in self.attackers for contact in contacts) / max(len(contacts), 1)

    def expected_replicas(self, key: bytes) -> list[PopulationMember]:
        """Return the live nodes closest to a key, which should hold its values."""
        return self.live_near(key, self._scenario.params.replicas)

    def is_running(self, contact: Contact) -> bool:
        """Return whether the contact's node runs, joined or not."""
        member = self._running_by_id.get(contact.id)
        return member is not None and member.endpoint == contact.endpoint
