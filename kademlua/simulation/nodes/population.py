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
from kademlua.simulation.network.adversaries import Gang, HostileTransport, Sybil, near
from kademlua.simulation.network.id_index import Census
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.network.traffic_tap import Tap, Traffic
from kademlua.simulation.rng_streams import Streams
from kademlua.simulation.scenario.scenario import Scenario, Sybils

_PORT = 4000
_PESTERED = 40
"""Honest nodes next to the key that a sybil pings, and others."""
_PESTERED_EVERY = 60.0
_JOIN_LOOK = 1.0


class Member:
    """One who is in the population: its id and address are its own for all its lives."""

    __slots__ = (
        "at", "behaviour", "endpoint", "id", "is_paused", "is_public", "joined", "lives", "node",
        "number", "side", "stays", "tap",
    )  # fmt: skip

    def __init__(
        self, number: int, node_id: bytes, endpoint: Endpoint, *, is_public: bool, stays: bool
    ) -> None:
        self.number = number
        self.id = node_id
        self.endpoint = endpoint
        self.behaviour = ""
        """What a hostile one does."""
        self.is_public = is_public
        self.is_paused = False
        self.stays = stays
        self.side = 0
        """On which side it is, or was, of the last partition."""
        self.lives = 0
        self.node: Node | None = None
        """While it runs."""
        self.tap: Tap | None = None
        self.joined = math.inf
        """When it joined in this life."""
        self.at = -1
        """Its place in the list of those who live."""


class Population:
    """All members of one simulated network. Chance comes from a stream per concern and
    member, so that one more of them leaves the others as they are."""

    def __init__(self, scenario: Scenario, streams: Streams, network: VirtualNetwork) -> None:
        self._scenario = scenario
        self._streams = streams
        self._network = network
        self._pool = ContactPool(max(32_768, 2 * scenario.nodes))
        self._bootstraps = streams.stream("bootstrap")
        self._events = streams.stream("events")
        self._churns = False
        self._members: list[Member] = []
        self._running: dict[bytes, Member] = {}
        self._by_number: dict[int, Member] = {}
        self.traffic = Traffic()
        """Of the honest nodes."""
        self._hostile_traffic = Traffic()
        self.gang = Gang(self._pool)
        self.target = streams.stream("target").randbytes(20)
        """The key next to which sybils are."""
        self.census = Census()
        self.living: list[Member] = []
        """Who has joined and not left, in no order that means anything; honest ones only."""
        self.is_parted = False
        self.came = self.left = 0
        """Comings and goings since churn began."""

    # Coming.

    def join_all(self) -> None:
        """Bring up all nodes, one after the other; blocks until the last was started."""
        count = self._scenario.nodes
        began = virtual_now()
        for number in range(count):
            gevent.sleep(max(0.0, began + number * self._scenario.join / count - virtual_now()))
            self._bring_up(self._new_member())
            if number == 0:
                gevent.sleep(0)
        gevent.sleep(max(0.0, began + self._scenario.join - virtual_now()))

    def _new_member(self) -> Member:
        number, scenario = len(self._members), self._scenario
        chance = self._streams.stream("member", number)
        node_id = random_id(chance)
        is_public = chance.random() >= scenario.network.nat or number == 0
        stays = scenario.churn is None or chance.random() < scenario.churn.stays
        address = addresses.public if scenario.is_open else addresses.private
        endpoint = (address(number), _PORT)
        member = Member(number, node_id, endpoint, is_public=is_public, stays=stays)
        hostile = scenario.hostile
        if number and chance.random() < hostile.share:  # who is asked first is honest
            member.behaviour = chance.choice(hostile.behaviours)
        return self._enrol(member, chance)

    def _enrol(self, member: Member, chance: random.Random) -> Member:
        if self.is_parted:
            member.side = chance.randrange(2)
        self._members.append(member)
        self._by_number[to_int(member.id)] = member
        return member

    def let_sybils_in(self, sybils: Sybils) -> None:
        """Bring up the sybils; blocks until the last was started."""
        began = virtual_now()
        for number in range(sybils.count):
            gevent.sleep(max(0.0, began + number * sybils.join / sybils.count - virtual_now()))
            self._let_sybil_in(sybils, number)
        gevent.sleep(max(0.0, began + sybils.join - virtual_now()))

    def _let_sybil_in(self, sybils: Sybils, number: int) -> None:
        chance = self._streams.stream("sybil", number)
        endpoint = addresses.of_network(number % sybils.networks, number // sybils.networks)
        node_id = near(self.target, sybils.bits, chance)
        member = Member(len(self._members), node_id, endpoint, is_public=True, stays=True)
        member.behaviour = chance.choice(sybils.behaviours)
        self._enrol(member, chance)
        self._running[node_id] = member
        self.gang.admit(node_id, endpoint)
        gevent.spawn(self._pester, Sybil(self._hostile_transport(member, chance), chance), chance)

    def _pester(self, sybil: Sybil, chance: random.Random) -> None:
        """Have the honest ones next to the key, and some others, look at it every minute."""
        while True:
            numbers = self.census.closest(to_int(self.target), _PESTERED, lambda _: True)
            others = [self._by_number[number] for number in numbers]
            others += chance.sample(self.living, min(_PESTERED, len(self.living)))
            sybil.pester([other.endpoint for other in others])
            gevent.sleep(_PESTERED_EVERY)

    def _hostile_transport(self, member: Member, chance: random.Random) -> HostileTransport:
        member.tap = Tap(self._network.transport(*member.endpoint), self._hostile_traffic)
        return HostileTransport(member.tap, member.behaviour, self.gang, member.id, chance)

    def _bring_up(self, member: Member) -> None:
        """Start a member's node; it counts as living when it has joined."""
        member.lives += 1
        if not member.is_public:
            self._network.behind_nat(member.endpoint, seconds=self._scenario.network.nat_seconds)
        if self.is_parted:
            self._part()
        transport: Transport
        if member.behaviour:
            chance = self._streams.stream("hostile", member.number, member.lives)
            transport = self._hostile_transport(member, chance)
        else:
            transport = member.tap = Tap(self._network.transport(*member.endpoint), self.traffic)
        member.node = Node(
            member.endpoint[1],
            member.endpoint[0],
            id=member.id,
            bootstrap=self._acquaintances(member),
            params=self._scenario.params,
            clock=virtual_now,
            wall=virtual_now,
            rng=self._streams.stream("node", member.number, member.lives),
            transport=transport,
            pool=self._pool,
        )
        if isinstance(transport, HostileTransport):
            transport.table = member.node.table
        self._running[member.id] = member
        member.node.start()
        gevent.spawn(self._await_join, member, member.node)

    def _acquaintances(self, member: Member) -> list[Endpoint]:
        """Living nodes that anybody can reach, for a newcomer to begin with."""
        known: dict[Endpoint, None] = {}
        wanted = self._scenario.bootstraps
        if not self.living:  # the first ones all know the very first
            first = self._members[0]
            return [first.endpoint] if first is not member else []
        for _ in range(20 * wanted):
            other = self._bootstraps.choice(self.living)
            if other.is_public and other is not member and self.are_linked(member, other):
                known[other.endpoint] = None
                if len(known) == wanted:
                    break
        return list(known)

    def _await_join(self, member: Member, node: Node) -> None:
        node.wait_joined()
        while not node.joined:
            if member.node is not node:
                return
            gevent.sleep(_JOIN_LOOK)
        member.joined = virtual_now()
        if member.behaviour:
            self.gang.admit(member.id, member.endpoint)
            return
        member.at = len(self.living)
        self.living.append(member)
        self.census.add(to_int(member.id))
        if self._churns:
            self.came += 1
            self._plan_departure(member)

    # Going.

    def start_churn(self) -> None:
        """From now on members leave, return and are replaced."""
        if self._scenario.churn is not None:
            self._churns = True
            for member in sorted(self.living, key=lambda each: each.number):
                self._plan_departure(member)

    def _plan_departure(self, member: Member) -> None:
        churn, node = self._scenario.churn, member.node
        if member.stays or churn is None or node is None:
            return
        chance = self._streams.stream("session", member.number, member.lives)
        # Weibull by inversion; with shape 1 it is the exponential distribution.
        scale = churn.median / math.log(2) ** (1 / churn.shape)
        seconds = scale * (-math.log(1 - chance.random())) ** (1 / churn.shape)
        gevent.spawn_later(seconds, self._depart, member, node, chance)

    def _depart(self, member: Member, node: Node, chance: random.Random) -> None:
        churn = self._scenario.churn
        if member.node is not node or churn is None:
            return  # something else took it first
        self.remove(member, graceful=chance.random() < churn.graceful)
        if chance.random() < churn.returns:
            away = chance.expovariate(1 / churn.away) if churn.away else 0.0
            gevent.spawn_later(away, self._bring_up, member)
        else:
            self._bring_up(self._new_member())

    def remove(self, member: Member, *, graceful: bool = False) -> None:
        """End a member's node: in order, or without a word."""
        node, tap = member.node, member.tap
        assert node is not None
        assert tap is not None
        member.node = member.tap = None
        member.joined = math.inf
        self.left += 1
        del self._running[member.id]
        if member.at >= 0:
            self.census.remove(to_int(member.id))
            last = self.living.pop()
            if last is not member:
                self.living[member.at] = last
                last.at = member.at
            member.at = -1
        if graceful:
            gevent.spawn(node.close)
        else:
            tap.cut()
            node.close(hand_over=False)

    # What befalls many at once.

    def vanish(self, share: float) -> None:
        """A share of the living is gone without a word, at one moment."""
        for member in self._some(share):
            self.remove(member)

    def pause(self, share: float, seconds: float) -> None:
        """A share of the living hears and says nothing for so long."""
        for member in self._some(share):
            member.is_paused = True
            self._network.pause(member.endpoint)
            gevent.spawn_later(seconds, self._resume, member)

    def _resume(self, member: Member) -> None:
        member.is_paused = False
        self._network.resume(member.endpoint)

    def partition(self, share: float) -> None:
        """Part the network in two; the first side has this share of the living."""
        chosen = {member.number for member in self._some(share)}
        for member in self._members:
            member.side = 0 if member.number in chosen else 1
        self.is_parted = True
        self._part()

    def heal(self) -> None:
        """One network again."""
        self.is_parted = False
        self._network.heal()

    def _part(self) -> None:
        self._network.partition(
            [{each.endpoint for each in self._members if each.side == side} for side in (0, 1)]
        )

    def _some(self, share: float) -> list[Member]:
        members = sorted(self.living, key=lambda each: each.number)
        return self._events.sample(members, round(share * len(members)))

    # What is true.

    def are_linked(self, one: Member, other: Member) -> bool:
        """Whether no partition stands between two."""
        return not self.is_parted or one.side == other.side

    def closest(self, target: bytes, seeker: Member, since: float, count: int) -> list[int]:
        """The nodes that a lookup by ``seeker`` should find: the nearest to the target of
        those that joined before ``since``, live, and can be reached by anybody on its side."""
        members = self._by_number

        def is_wanted(number: int) -> bool:
            member = members[number]
            return (
                member.joined < since
                and member.is_public
                and not member.is_paused
                and member is not seeker
                and self.are_linked(member, seeker)
            )

        return self.census.closest(to_int(target), count, is_wanted)

    def hostile_near_key(self) -> float:
        """The share of hostile ones among the contacts next to the key that the honest nodes
        next to it would tell of."""
        if not len(self.gang):
            return 0.0
        k = self._scenario.params.k
        told: list[Contact] = []
        for number in self.census.closest(to_int(self.target), k, lambda _: True):
            node = self._by_number[number].node
            if node is not None:
                told += node.table.closest(self.target, k)
        return sum(contact in self.gang for contact in told) / max(len(told), 1)

    def holders(self, key: bytes) -> list[Member]:
        """Who should hold a value now: the living that are the closest to its key."""
        numbers = self.census.closest(
            to_int(key), self._scenario.params.replicas, lambda number: True
        )
        return [self._by_number[number] for number in numbers]

    def is_up(self, contact: Contact) -> bool:
        """Whether the node that a contact names runs, joined or not."""
        member = self._running.get(contact.id)
        return member is not None and member.endpoint == contact.endpoint
