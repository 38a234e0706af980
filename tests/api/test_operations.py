"""The operations of a running node, by name."""

import os

import gevent
import pytest

import kademlua
from kademlua import NotJoined, Params, RpcTimeout, sha1
from kademlua.api.fields import BadRequest, held_json, packed_value, unpacked_value
from kademlua.api.operations import Operations
from kademlua.core.errors import StorageError
from kademlua.core.json_codec import contact_json
from kademlua.simulation.clock.loop import virtual_now
from kademlua.storage.export_format import Held
from tests.support.world import SILENT

KEY = sha1("key").hex()
VALUE = packed_value(b"value")


def operations(node):
    return Operations(node, clock=virtual_now)


def test_a_value_is_added_found_and_stored(world):
    alice, bob = world.network(2)
    one, two = operations(alice), operations(bob)
    report = one.do("add", {"key": KEY, "value": packed_value({b"a": [1]}), "ttl": 60})
    assert (report["key"], len(report["stored"])) == (KEY, 2)
    assert report["refused"] == report["silent"] == []
    (answer,) = two.do("find", {"key": KEY, "answers": 1})["answers"]
    assert [unpacked_value(each) for each in answer["values"]] == [{b"a": [1]}]
    (row,) = two.rows("stored", {})
    assert row["owner"] == contact_json(alice.contact)
    assert (row["key"], row["value"], row["direct"]) == (KEY, packed_value({b"a": [1]}), True)
    assert 59 < row["left"] < 60
    assert list(two.rows("stored", {"key": KEY})) != []
    assert list(two.rows("stored", {"key": "00" * 20})) == []
    gevent.sleep(60)
    assert list(two.rows("stored", {})) == []


def test_a_value_is_published_and_removed(world):
    alice, bob = world.network(2)
    one, two = operations(alice), operations(bob)
    assert len(one.do("publish", {"key": KEY, "value": VALUE, "ttl": 60})["stored"]) == 2
    assert list(one.rows("published", {})) == [{"key": KEY, "value": VALUE, "ttl": 60}]
    gevent.sleep(300)
    assert len(list(two.rows("stored", {}))) == 1
    assert one.do("unpublish", {"key": KEY}) == {"key": KEY, "was_published": True}
    assert one.do("unpublish", {"key": KEY}) == {"key": KEY, "was_published": False}
    assert len(one.do("remove", {"key": KEY})["stored"]) == 2
    assert list(two.rows("stored", {})) == []


def test_the_network_is_asked(world):
    alice, bob = world.network(2)
    one = operations(alice)
    assert one.do("lookup", {"key": KEY})["nodes"] == [contact_json(bob.contact)]
    told = one.do("ping", {"address": bob.contact.addr, "port": bob.contact.port})
    assert told == contact_json(bob.contact) | {"seconds": pytest.approx(0.1)}
    with pytest.raises(RpcTimeout):
        one.do("ping", dict(zip(("address", "port"), SILENT, strict=True)))


def test_the_node_is_described(world):
    alice, bob = world.network(2)
    gevent.sleep(5)
    one = operations(alice)
    (contact,) = one.do("contacts", {})["contacts"]
    assert contact.items() >= contact_json(bob.contact).items()
    assert 4 <= contact["heard_ago"] <= 6
    assert 0 <= contact["bucket"] <= 159
    assert contact["round_trip"] == pytest.approx(0.1)
    assert one.do("stats", {})["contacts"] == 1
    nothing: dict = {"round_trips": {}, "lookups": {}, "queries": {}}
    assert one.do("timings", {}) == nothing  # it begins to count
    one.do("lookup", {"key": KEY})
    timings = one.do("timings", {})
    for name, total in [("round_trips", 0.1), ("lookups", 0.1), ("queries", 1)]:
        histogram = timings[name]["findnode"]
        assert len(histogram["counts"]) == len(histogram["bounds"]) + 1
        assert sum(histogram["counts"]) == 1
        assert histogram["total"] == pytest.approx(total, abs=1e-5)
    assert one.do("node", {}) == contact_json(alice.contact) | {
        "joined": True,
        "process": os.getpid(),
        "version": kademlua.__version__,
    }


def test_values_are_imported(world):
    alice = world.node(params=Params(max_entries=2))
    rows = [
        held_json(Held(bytes([number] * 20), world.bob.contact, b"1:v", False, left))
        for number, left in enumerate([10.0, 0.0, 10.0, 10.0])
    ]
    one = operations(alice)
    told = one.do("import", {"values": rows})
    assert told == {"taken": 2, "ended": 1, "refused": {"no room for more values": 1}}
    assert list(one.rows("stored", {})) == [rows[0], rows[2]]


def test_what_can_t_be_kept_is_not_imported(world, monkeypatch):
    one = operations(world.alice)
    store = world.alice.datastore
    monkeypatch.setattr(store, "kept", lambda callback: callback("the disk is full"))
    with pytest.raises(StorageError, match="can't be kept: the disk is full"):
        one.do("import", {"values": []})


def test_what_can_t_be(world):
    one = operations(world.alice)
    for name, given, complaint in [
        ("nothing", {}, "no operation 'nothing'"),
        ("stored", {}, "no operation 'stored'"),
        ("find", {}, "'key' is missing"),
        ("find", {"key": KEY, "answers": 0}, "'answers' is a number"),
        ("stats", {"key": KEY}, "no field 'key'"),
        ("add", {"key": KEY, "value": VALUE, "ttl": -1}, "a time to live is"),
        ("add", {"key": KEY, "value": packed_value(bytes(20_000))}, "at most 15,000 bytes"),
    ]:
        with pytest.raises(BadRequest, match=complaint):
            one.do(name, given)
    with pytest.raises(BadRequest, match="no operation 'add'"):
        one.rows("add", {})
    with pytest.raises(BadRequest, match="'key' is 40 hex digits"):
        one.rows("stored", {"key": "x"})
    assert set(one.names) >= {"add", "stored"}


def test_an_operation_waits_for_the_first_try_to_join(world):
    late = operations(world.node(world.alice))
    assert late.do("lookup", {"key": KEY})["nodes"] == [contact_json(world.alice.contact)]
    with pytest.raises(NotJoined):
        operations(world.node(SILENT)).do("lookup", {"key": KEY})
