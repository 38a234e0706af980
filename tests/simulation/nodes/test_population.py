"""The population: joining, churn, who lives, and what lookups should find."""

import random

import gevent
import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.simulation.clock.loop import run_virtual, virtual_now
from kademlua.simulation.network.id_index import Census
from kademlua.simulation.network.latency import Constant
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.rng_streams import Streams
from kademlua.simulation.scenario.scenario import Churn, Network, Scenario


def planned(**changes):
    plain = {"name": "n", "title": "t", "shows": "s", "duration": 60.0, "nodes": 20}
    return Scenario(**plain | {"join": 10.0, "settle": 5.0} | changes)


def live(work, seed=1, **changes):
    """Run ``work(population, network)`` on virtual time when all nodes have joined."""

    def main():
        scenario, streams = planned(**changes), Streams(seed)
        network = VirtualNetwork(streams, Constant(0.05))
        population = Population(scenario, streams, network)
        population.join_all()
        gevent.sleep(scenario.settle)
        return work(population, network)

    return run_virtual(main)


# The census.


@pytest.mark.parametrize("count", [0, 1, 5, 40, 300])
def test_closest_is_exact(count):
    rng = random.Random(count)
    numbers = [rng.getrandbits(160) for _ in range(count)]
    census = Census()
    for number in numbers:
        census.add(number)
    for number in numbers[::7]:
        census.remove(number)
    living = [number for place, number in enumerate(numbers) if place % 7]
    assert len(census) == len(living)
    for _ in range(20):
        target = rng.getrandbits(160)
        for wanted in (lambda number: True, lambda number: number % 3 == 0, lambda number: False):
            truth = sorted(filter(wanted, living), key=target.__xor__)[:20]
            assert census.closest(target, 20, wanted) == truth


# Joining.


def test_all_join_in_time():
    def work(population, network):
        assert virtual_now() == 15
        return [member.number for member in population.living], population

    numbers, population = live(work)
    assert sorted(numbers) == list(range(20))
    assert len(population.census) == 20


def test_one_more_leaves_the_others_as_they_are():
    few = live(lambda population, _: [m.id for m in sorted_living(population)])
    more = live(lambda population, _: [m.id for m in sorted_living(population)], nodes=30)
    assert more[:20] == few
    assert live(lambda population, _: population.living[0].id, seed=2) != few[0]


def sorted_living(population):
    return sorted(population.living, key=lambda member: member.number)


# Leaving.


def test_vanishing_is_silent():
    def work(population, network):
        before = network.sent
        population.vanish(0.5)
        assert network.sent == before
        assert (len(population.living), len(population.census), population.left) == (10, 10, 10)
        dead = sum(
            not population.is_up(contact)
            for member in population.living
            for contact in member.node.table
        )
        assert dead > 50
        gevent.sleep(30)

    live(work)


def test_who_is_up():
    def work(population, _):
        member = population.living[3]
        contact = member.node.contact
        assert population.is_up(contact)
        assert not population.is_up(Contact(contact.addr, 5, contact.id))
        population.remove(member, graceful=True)
        assert not population.is_up(contact)
        assert member not in population.living

    live(work)


def test_churn_keeps_the_number_and_replaces_who_does_not_return():
    def work(population, _):
        population.start_churn()
        gevent.sleep(600)
        return population

    population = live(work, churn=Churn(median=60.0, returns=0.0, graceful=0.5, stays=0.2))
    assert population.left > 20
    assert population.came == pytest.approx(population.left, abs=3)
    assert len(population.living) == pytest.approx(20, abs=3)
    ids = [member.id for member in population.living]
    assert len(set(ids)) == len(ids)
    assert any(member.number >= 20 for member in population.living)
    stayed = [member.number for member in population.living if member.stays and member.number < 20]
    assert stayed


def test_who_returns_has_its_id_and_address():
    def work(population, _):
        population.start_churn()
        gevent.sleep(300)
        return population

    churn = Churn(sessions="weibull", shape=0.7, median=30.0, returns=1.0, away=10.0)
    population = live(work, churn=churn)
    assert population.came > 20
    assert max(member.lives for member in population.living) > 2
    assert all(member.number < 20 for member in population.living)


# Partitions, NAT, pauses.


def test_partition_and_heal():
    def work(population, network):
        population.partition(0.3)
        sides = [member.side for member in sorted_living(population)]
        assert sides.count(0) == 6
        one = next(member for member in population.living if member.side == 0)
        other = next(member for member in population.living if member.side == 1)
        assert not population.are_linked(one, other)
        truth = population.closest(one.id, one, virtual_now(), 20)
        assert len(truth) == 5
        with pytest.raises(TimeoutError):
            one.node.ping(other.endpoint)
        population.heal()
        assert population.are_linked(one, other)
        assert one.node.ping(other.endpoint).contact.id == other.id

    live(work)


def test_nat():
    def work(population, network):
        hidden = [member for member in population.living if not member.is_public]
        assert 4 <= len(hidden) <= 16
        seeker = next(member for member in population.living if member.is_public)
        truth = population.closest(seeker.id, seeker, virtual_now(), 20)
        assert len(truth) == 20 - len(hidden) - 1
        assert network.lost["nat"] > 0

    live(work, network=Network(nat=0.5))


def test_pause():
    def work(population, network):
        population.pause(0.25, 10.0)
        paused = [member for member in population.living if member.is_paused]
        assert len(paused) == 5
        seeker = next(member for member in population.living if not member.is_paused)
        truth = population.closest(seeker.id, seeker, virtual_now(), 20)
        assert len(truth) == 14
        assert to_int(paused[0].id) not in truth
        gevent.sleep(10.5)
        assert not any(member.is_paused for member in population.living)
        assert len(population.closest(seeker.id, seeker, virtual_now(), 20)) == 19

    live(work)
