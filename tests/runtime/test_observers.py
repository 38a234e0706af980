"""Observers receive all events and cannot harm the node."""

from __future__ import annotations

import gevent

from kademlua import Contact, Node, Params, sha1
from kademlua.runtime.observers import LookupObserver, Observer
from tests.support.world import World


class Recorder(Observer, LookupObserver):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def on_lookup_started(self, rpc_name: str, target: bytes, purpose: str) -> LookupObserver:
        self.heard.append(("began", rpc_name, target, purpose))
        return self

    def on_query(self, contact: Contact) -> None:
        self.heard.append(("queried", contact))

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        self.heard.append(("answered", contact, len(contacts)))

    def on_failure(self, contact: Contact) -> None:
        self.heard.append(("failed", contact))

    def on_finished(self) -> None:
        self.heard.append(("ended",))

    def on_lookup_finished(self, rpc_name: str, purpose: str, seconds: float, queries: int) -> None:
        self.heard.append(("over", rpc_name, purpose, seconds, queries))

    def on_contact_added(self, contact: Contact) -> None:
        self.heard.append(("entered", contact))

    def on_contact_removed(self, contact: Contact) -> None:
        self.heard.append(("left", contact))

    def on_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        self.heard.append(("stored", key, owner, size))

    def of(self, *kinds: str) -> list[tuple[object, ...]]:
        return [each for each in self.heard if each[0] in kinds]


def watched(node: Node) -> Recorder:
    recorder = Recorder()
    node.observe(recorder)
    return recorder


def test_lookup_is_reported_from_start_to_end(world: World) -> None:
    nodes = world.network(5)
    recorder = watched(nodes[4])
    target = sha1("somewhere")
    found = nodes[4].find_node(target)
    lookup = recorder.of("began", "queried", "answered", "failed", "ended", "over")
    assert lookup[0] == ("began", "findnode", target, "find_node")
    assert {each[1] for each in lookup if each[0] == "queried"} == set(found)
    assert {each[1] for each in lookup if each[0] == "answered"} == set(found)
    assert lookup[-2] == ("ended",)
    name, cause, seconds, queries = lookup[-1][1:]
    assert (name, cause, queries) == ("findnode", "find_node", len(found))
    assert isinstance(seconds, float)
    assert 0.1 <= seconds < 1


def test_final_reply_is_reported_before_the_end(world: World) -> None:
    nodes = world.network(5, params=Params(replicas=1))
    nodes[0].add(sha1("key"), b"value")
    seeker = next(node for node in nodes if not len(node.datastore))
    recorder = watched(seeker)
    assert seeker.find_value(sha1("key"), 1)
    kinds = [each[0] for each in recorder.of("queried", "answered", "ended")]
    assert kinds[-2:] == ["answered", "ended"]
    assert kinds.count("ended") == 1


def test_query_without_reply_is_reported(world: World) -> None:
    nodes = world.network(3)
    recorder = watched(nodes[0])
    gone = nodes[2].contact
    nodes[2].close()
    nodes[0].find_node(gone.id)

    gevent.sleep(10)
    assert ("left", gone) in recorder.heard


def test_stored_values_are_reported(world: World) -> None:
    alice = world.alice
    bob = world.node(alice)
    assert bob.wait_joined(30)
    recorder = watched(bob)
    alice.add(sha1("key"), b"value")
    assert ("stored", sha1("key"), alice.contact, len(b"5:value")) in recorder.heard


def test_raising_observer_does_not_affect_others(world: World) -> None:
    class Broken(Observer):
        def on_lookup_started(
            self, rpc_name: str, target: bytes, purpose: str
        ) -> LookupObserver | None:
            raise RuntimeError

        def on_lookup_finished(
            self, rpc_name: str, purpose: str, seconds: float, queries: int
        ) -> None:
            raise RuntimeError

    nodes = world.network(3)
    nodes[1].observe(Broken())
    recorder = watched(nodes[1])
    assert len(nodes[1].find_node(sha1("somewhere"))) == 2
    assert len(recorder.of("over")) == 1


def test_observer_may_receive_only_ends(world: World) -> None:
    ends = []

    class Ends(Observer):
        def on_lookup_finished(
            self, rpc_name: str, purpose: str, seconds: float, queries: int
        ) -> None:
            ends.append((rpc_name, purpose, queries))

    nodes = world.network(3)
    observers = nodes[1].services.context.observers
    nodes[1].observe(Observer())
    assert (
        observers.begin_lookup(nodes[1].services.context.clock, "findnode", bytes(20), "call")
        is None
    )
    nodes[1].observe(Ends())
    nodes[1].find_node(sha1("somewhere"))
    assert ends == [("findnode", "find_node", 2)]


def test_removed_observer_receives_nothing(world: World) -> None:
    nodes = world.network(3)
    recorder, other = watched(nodes[1]), watched(nodes[1])
    nodes[1].unobserve(recorder)
    nodes[1].find_node(sha1("somewhere"))
    assert not recorder.heard
    assert other.heard
    nodes[1].unobserve(other)
    nodes[1].unobserve(other)
    heard = list(other.heard)
    nodes[1].find_node(sha1("somewhere else"))
    newcomer = world.node(nodes[1])
    assert newcomer.wait_joined(10)
    assert newcomer.contact in nodes[1].table
    assert other.heard == heard


def test_every_call_has_a_purpose(world: World) -> None:
    """What upkeep and the program asked for adds up to all that was asked."""
    nodes = world.network(30, params=Params(replicas=4))

    nodes[3].add(sha1("key"), b"value")
    nodes[5].find_value(sha1("key"), 1)
    nodes[5].ping(nodes[7].contact)
    gevent.sleep(300)
    for node in nodes:
        stats = node.stats()
        assert sum(stats["calls_by_purpose"].values()) == sum(stats["calls_by_rpc"].values())
    assert nodes[3].stats()["calls_by_purpose"]["store"] > 4
    assert nodes[5].stats()["calls_by_purpose"]["call"] == 1


def test_timings_are_counted_after_first_request(world: World) -> None:
    nodes = world.network(3)
    nodes[1].find_node(sha1("before"))
    timings = nodes[1].timings()
    assert not timings.lookup_times
    nodes[1].find_node(sha1("after"))
    nodes[1].ping(nodes[2].contact)
    assert nodes[1].timings() is timings
    assert timings.lookup_times["findnode"].count == 1
    assert timings.lookup_queries["findnode"].total == 2
    assert timings.rtts["ping"].count == 1
    assert 0.1 <= timings.rtts["ping"].total < 0.2
