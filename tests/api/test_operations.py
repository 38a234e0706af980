"""The operations of a running node by name, as JSON."""

import os
from pathlib import Path

import gevent
import pytest

import kademlua
from kademlua import NotJoined, Params, RpcTimeout, sha1
from kademlua.api.fields import BadRequest
from kademlua.api.json_form import stored_value_to_json
from kademlua.api.operations import NodeApi
from kademlua.api.program import Program
from kademlua.build import build_name
from kademlua.core.errors import StorageError
from kademlua.core.json_codec import contact_to_json, value_from_json, value_to_json
from kademlua.simulation.clock.loop import virtual_now
from kademlua.storage.export_format import StoredValue
from tests.support.parts import SlowStore
from tests.support.world import UNUSED_ENDPOINT

KEY = sha1("key").hex()
VALUE = value_to_json(b"value")


def operations(node):
    return NodeApi(node, clock=virtual_now)


def test_a_value_is_added_found_and_stored(world):
    alice, bob = world.network(2)
    one, two = operations(alice), operations(bob)
    report = one.call("add", {"key": KEY, "value": value_to_json({b"a": [1]}), "ttl": 60})
    assert (report["key"], len(report["acknowledged"])) == (KEY, 2)
    assert report["refused"] == report["timed_out"] == []
    (answer,) = two.call("find", {"key": KEY, "answers": 1})["answers"]
    assert [value_from_json(each) for each in answer["values"]] == [{b"a": [1]}]
    (row,) = two.stream("stored", {})
    assert row["owner"] == contact_to_json(alice.contact)
    assert (row["key"], row["value"], row["from_owner"]) == (KEY, value_to_json({b"a": [1]}), True)
    assert 59 < row["remaining_seconds"] < 60
    assert list(two.stream("stored", {"key": KEY})) != []
    assert list(two.stream("stored", {"key": "00" * 20})) == []
    gevent.sleep(60)
    assert list(two.stream("stored", {})) == []


def test_a_value_is_published_and_removed(world):
    alice, bob = world.network(2)
    one, two = operations(alice), operations(bob)
    assert len(one.call("publish", {"key": KEY, "value": VALUE, "ttl": 60})["acknowledged"]) == 2
    assert list(one.stream("published", {})) == [{"key": KEY, "value": VALUE, "ttl": 60}]
    gevent.sleep(300)
    assert len(list(two.stream("stored", {}))) == 1
    assert one.call("unpublish", {"key": KEY}) == {"key": KEY, "was_published": True}
    assert one.call("unpublish", {"key": KEY}) == {"key": KEY, "was_published": False}
    assert len(one.call("remove", {"key": KEY})["acknowledged"]) == 2
    assert list(two.stream("stored", {})) == []


def test_lookup_and_ping_query_the_network(world):
    alice, bob = world.network(2)
    one = operations(alice)
    assert one.call("lookup", {"key": KEY})["contacts"] == [contact_to_json(bob.contact)]
    result = one.call("ping", {"address": bob.contact.addr, "port": bob.contact.port})
    assert result == contact_to_json(bob.contact) | {"rtt_seconds": pytest.approx(0.1)}
    with pytest.raises(RpcTimeout):
        one.call("ping", dict(zip(("address", "port"), UNUSED_ENDPOINT, strict=True)))


def test_node_contacts_stats_and_timings_are_reported(world):
    alice, bob = world.network(2)
    gevent.sleep(5)
    one = operations(alice)
    (contact,) = one.call("contacts", {})["contacts"]
    assert contact.items() >= contact_to_json(bob.contact).items()
    assert 4 <= contact["last_seen_seconds"] <= 6
    assert 0 <= contact["bucket"] <= 159
    assert contact["rtt_seconds"] == pytest.approx(0.1)
    assert one.call("stats", {})["contacts"] == 1
    nothing: dict = {"round_trips": {}, "lookups": {}, "queries": {}}
    assert one.call("timings", {}) == nothing  # counting starts here
    one.call("lookup", {"key": KEY})
    timings = one.call("timings", {})
    for name, total in [("round_trips", 0.1), ("lookups", 0.1), ("queries", 1)]:
        histogram = timings[name]["findnode"]
        assert len(histogram["counts"]) == len(histogram["bounds"]) + 1
        assert sum(histogram["counts"]) == 1
        assert histogram["total"] == pytest.approx(total, abs=1e-5)
    assert one.call("node", {}) == contact_to_json(alice.contact) | {
        "joined": True,
        "process": os.getpid(),
        "version": kademlua.__version__,
        "build": build_name(),
    }


def test_values_are_imported(world):
    alice = world.node(params=Params(max_entries=2))
    rows = [
        stored_value_to_json(
            StoredValue(bytes([number] * 20), world.bob.contact, b"1:v", False, left)
        )
        for number, left in enumerate([10.0, 0.0, 10.0, 10.0])
    ]
    one = operations(alice)
    result = one.call("import", {"values": rows})
    assert result == {"imported": 2, "expired": 1, "refused": {"no room for more values": 1}}
    assert list(one.stream("stored", {})) == [rows[0], rows[2]]


def test_watchers_are_told_of_imported_values(world):
    holder, watcher = world.network(2)
    key = sha1("key")
    imported = StoredValue(key, world.bob.contact, b"1:v", False, 100.0)
    with watcher.watch(key) as watch:
        assert watch.next(2) is None
        operations(holder).call("import", {"values": [stored_value_to_json(imported)]})
        assert watch.next(2) is not None


def test_import_fails_if_the_store_cannot_persist(world):
    store = SlowStore()
    store.when_durable = lambda callback: callback("the disk is full")
    one = operations(world.node(store=store))
    with pytest.raises(StorageError, match="can't be kept: the disk is full"):
        one.call("import", {"values": []})


def test_invalid_requests_are_rejected(world):
    one = operations(world.alice)
    for name, given, complaint in [
        ("nothing", {}, "no operation 'nothing'"),
        ("stored", {}, "no operation 'stored'"),
        ("find", {}, "'key' is missing"),
        ("find", {"key": KEY, "answers": 0}, "'answers' is a number"),
        ("find", {"key": KEY, "max_bytes": 0}, "'max_bytes' is a number"),
        ("find", {"key": KEY, "timeout": 0}, "timeout must be above 0"),
        ("stats", {"key": KEY}, "no field 'key'"),
        ("add", {"key": KEY, "value": VALUE, "ttl": -1}, "a TTL is"),
        ("add", {"key": KEY, "value": value_to_json(bytes(20_000))}, "at most 15,000 bytes"),
    ]:
        with pytest.raises(BadRequest, match=complaint):
            one.call(name, given)
    with pytest.raises(BadRequest, match="no operation 'add'"):
        one.stream("add", {})
    with pytest.raises(BadRequest, match="'key' is 40 hex digits"):
        one.stream("stored", {"key": "x"})
    assert set(one.names) >= {"add", "stored"}


def test_operation_waits_for_the_first_join_attempt(world):
    late = operations(world.node(world.alice))
    assert late.call("lookup", {"key": KEY})["contacts"] == [contact_to_json(world.alice.contact)]
    with pytest.raises(NotJoined):
        operations(world.node(UNUSED_ENDPOINT)).call("lookup", {"key": KEY})


def test_stop_is_refused_by_other_programs(world):
    with pytest.raises(BadRequest, match="part of another program"):
        NodeApi(world.node()).call("stop", {})


def test_stop_asks_the_program_to_end(world):
    stopped: list[bool] = []
    program = Program(data_directory=Path("/data"), stop=lambda: stopped.append(True))
    node = world.node()
    api = NodeApi(node, program=program)
    assert api.call("stop", {})["id"] == node.id.hex()
    assert stopped == [True]
    assert api.call("status", {})["data_directory"] == "/data"
