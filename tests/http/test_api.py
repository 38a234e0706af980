"""The HTTP API: requests by path, and their replies."""

from __future__ import annotations

import json

import pytest

from kademlua import Contact, sha1
from kademlua.core.values.store import StoreEntry
from tests.http.conftest import TOKEN


def test_health_and_readiness_follow_the_node(client):
    assert client.get("/healthz").body == b"ok\n"
    assert client.get("/readyz").body == b"joined\n"
    client.node.close()
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status == 503
    assert client.get("/healthz").json["detail"] == "the node is closed"


def test_stuck_maintenance_is_unhealthy(client, monkeypatch):
    monkeypatch.setattr(type(client.node), "healthy", False)
    stuck = client.get("/healthz")
    assert (stuck.status, stuck.json["detail"]) == (503, "maintenance is stuck")


def test_damaged_store_is_unhealthy(client, monkeypatch):
    monkeypatch.setattr(type(client.node.datastore), "damage", "values.lmdb is damaged")
    damaged = client.get("/healthz")
    assert (damaged.status, damaged.json["detail"]) == (503, "values.lmdb is damaged")


def test_node_without_peers_is_not_ready(make_node, serve):
    client = serve(make_node(bootstrap=[("127.0.0.1", 9)]))
    assert client.get("/healthz").status == 200
    assert client.get("/readyz").status == 503
    found = client.get("/v1/values/key")
    assert found.status == 503
    assert found.json["detail"] == "no node answers at the bootstrap addresses"


def test_added_value_is_found(client):
    added = client.post("/v1/values/greeting", b"hello")
    assert added.status == 200
    assert added.json["key"] == sha1("greeting").hex()
    assert len(added.json["acknowledged"]) == 3
    assert client.node.find_value(sha1("greeting"), 1)[0].values == [b"hello"]
    found = client.get("/v1/values/greeting?answers=1")
    assert found.headers["content-type"] == "application/json"
    assert [each["values"] for each in found.json["answers"]] == [["hello"]]
    as_bytes = client.get("/v1/values/greeting", Accept="application/octet-stream")
    assert as_bytes.headers["content-type"] == "application/octet-stream"
    assert as_bytes.body == b"hello"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ('"grün"', "grün".encode()),
        ("-5", -5),
        ('["a", 1, {"b": []}]', [b"a", 1, {b"b": []}]),
        ('{"hex": "ff00"}', b"\xff\x00"),
        ('{"items": [["hex", {"hex": "ff"}]]}', {b"hex": b"\xff"}),
        ('{"items": [[{"hex": "ff"}, 1]]}', {b"\xff": 1}),
        ('{"hex": "ff00", "more": 1}', {b"hex": b"ff00", b"more": 1}),
    ],
)
def test_json_body_is_a_value(client, sent, stored):
    assert client.post("/v1/values/key", sent.encode(), "application/json").status == 200
    assert client.node.find_value(sha1("key"), 1)[0].values == [stored]
    found = client.get("/v1/values/key?answers=1")
    assert found.json["answers"][0]["values"] == [json.loads(sent)]


@pytest.mark.parametrize(
    "sent",
    [b"1.5", b"null", b"true", b"{", b"", b"\xff", b'{"hex": "f"}', b'"\\ud800"', b"[" * 9_000,
     b"[" * 62 + b"]" * 62, b"9" * 5_000, b"NaN"],
)  # fmt: skip
def test_invalid_json_value_is_refused(client, sent):
    refused = client.post("/v1/values/key", sent, "application/json")
    assert refused.status == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json["detail"].startswith("no value: ")


def test_bytes_body_may_have_any_bytes(client):
    value = bytes(range(256))
    assert client.post("/v1/values/key", value, "application/octet-stream").status == 200
    assert client.get("/v1/values/key", Accept="application/octet-stream").body == value
    found = client.get("/v1/values/key?answers=1")
    assert found.json["answers"][0]["values"] == [{"hex": value.hex()}]


def test_unavailable_representation_is_not_acceptable(client):
    client.post("/v1/values/key", b"[1]", "application/json")
    assert client.get("/v1/values/key", Accept="application/octet-stream").status == 406
    assert client.get("/v1/values/key", Accept="image/png").status == 406


def test_other_content_types_are_refused(client):
    assert client.post("/v1/values/key", b"<a/>", "application/xml").status == 415


def test_too_large_value_is_refused(client):
    refused = client.post("/v1/values/key", b"x" * 15_001)
    assert refused.status == 413
    assert "at most 15,000 bytes" in refused.json["detail"]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("key", b"key"),
        ("two%20words", b"two words"),
        ("a/b//c", b"a/b//c"),
        ("a%2Fb", b"a/b"),
        ("gr%C3%BCn", "grün".encode()),
        ("%ff%00", b"\xff\x00"),
        ("", b""),
        ("end/", b"end/"),
    ],
)
def test_rest_of_the_path_is_the_key(client, path, key):
    assert client.post(f"/v1/values/{path}", b"value").json["key"] == sha1(key).hex()
    assert client.get(f"/v1/values/{path}").status == 200


def test_path_with_hex_true_is_the_key_itself(client):
    client.node.add(sha1("key"), b"value")
    digits = sha1("key").hex()
    assert client.get(f"/v1/values/{digits.upper()}?hex=true").json["key"] == digits
    assert client.get(f"/v1/values/{digits}").status == 404
    assert client.get("/v1/values/nonsense?hex=true").status == 404


def test_removed_value_is_gone(client):
    client.post("/v1/values/key", b"value")
    removed = client.request("DELETE", "/v1/values/key", token=TOKEN)
    assert removed.status == 200
    assert len(removed.json["acknowledged"]) == 3
    assert client.get("/v1/values/key").status == 404
    assert client.request("DELETE", "/v1/values/key").status == 401
    nothing = client.request("DELETE", "/v1/values/key", token=TOKEN)
    assert (nothing.status, nothing.json["detail"]) == (404, "no node has a value of this owner")


def test_value_lives_for_its_ttl(client):
    assert client.post("/v1/values/key?ttl=100", b"value").status == 200
    (stored,) = client.get("/v1/stored").json["stored"]
    assert 90 < stored["remaining_seconds"] <= 100
    for ttl in ("0", "-1", "1.5", "99999999", "x"):
        assert client.post(f"/v1/values/key?ttl={ttl}", b"value").status == 400


def test_published_value_is_listed_until_unpublished(client):
    for name in ("a", "b", "c"):
        kind = {"Content_Type": "text/plain"}
        done = client.request("PUT", f"/v1/published/{name}?ttl=600", b"value", token=TOKEN, **kind)
        assert done.status == 200
        assert len(done.json["acknowledged"]) == 3
    keys = sorted(sha1(name).hex() for name in ("a", "b", "c"))
    first = client.get("/v1/published?limit=2").json
    assert first["published"] == [{"key": key, "value": "value", "ttl": 600} for key in keys[:2]]
    second = client.get(f"/v1/published?after={first['next']}").json
    assert [each["key"] for each in second["published"]] == keys[2:]
    assert second["next"] is None
    ended = client.request("DELETE", f"/v1/published/{keys[0]}?hex=true", token=TOKEN)
    assert (ended.status, ended.body) == (204, b"")
    assert client.request("DELETE", f"/v1/published/{keys[0]}?hex=true", token=TOKEN).status == 404
    assert len(client.node.published()) == 2
    assert client.request("PUT", "/v1/published/a", b"value").status == 401


def test_nothing_found_is_404(client):
    nothing = client.get("/v1/values/nothing")
    assert nothing.status == 404
    assert nothing.json["detail"] == "the nodes closest to the key have no value"


@pytest.mark.parametrize(
    "query", ["answers=0", "answers=21", "answers=x", "per_node=0", "hex=x", "unknown=1"]
)
def test_invalid_and_unknown_parameters_are_400(client, query):
    refused = client.get(f"/v1/values/key?{query}")
    assert refused.status == 400
    assert refused.headers["content-type"] == "application/problem+json"


def test_lookup_returns_the_closest_contacts(client):
    found = client.get("/v1/lookup/somewhere").json
    assert found["key"] == sha1("somewhere").hex()
    assert [each["id"] for each in found["contacts"]] == [
        contact.id.hex() for contact in client.node.find_node(sha1("somewhere"))
    ]
    assert 0 < found["seconds"] < 10


def test_contacts_are_those_of_the_routing_table(client):
    found = client.get("/v1/contacts").json
    assert found["node"]["id"] == client.node.id.hex()
    listed = [each for bucket in found["buckets"] for each in bucket["contacts"]]
    assert {each["id"] for each in listed} == {each.id.hex() for each in client.node.table}
    assert all(each["is_fresh"] and each["last_seen_seconds"] < 60 for each in listed)
    assert all(0 < each["rtt_seconds"] < 10 for each in listed)


def test_stored_values_are_listed_page_by_page_in_key_order(client):
    keys = sorted(sha1(f"key {number}") for number in range(7))
    for key in keys:
        client.node.add(key, b"value")
    first = client.get("/v1/stored?limit=4").json
    assert (first["values"], first["bytes"]) == (7, 7 * len(b"5:value"))
    assert [each["key"] for each in first["stored"]] == [key.hex() for key in keys[:4]]
    for each in first["stored"]:
        assert (each["value"], each["from_owner"]) == ("value", True)
        assert each["owner"]["id"] == client.node.id.hex()
        assert 0 < each["remaining_seconds"] <= 86_400
    second = client.get(f"/v1/stored?limit=4&after={first['next']}").json
    assert [each["key"] for each in second["stored"]] == [key.hex() for key in keys[4:]]
    assert second["next"] is None
    assert client.get("/v1/stored?after=nonsense").status == 400


def test_page_ends_early_after_a_key_with_many_values(client):
    first, second, third = sorted(sha1(f"key {number}") for number in range(3))
    for number in range(5):
        owner = Contact("127.0.0.1", 1_000 + number, bytes([number] * 20))
        client.node.datastore.put(first, owner, StoreEntry(b"1:v", client.node.now + 60))
    for key in (second, third):
        client.node.add(key, b"value")
    page = client.get("/v1/stored?limit=2").json
    assert [each["key"] for each in page["stored"]] == [first.hex()] * 5
    assert page["next"] == first.hex()
    rest = client.get(f"/v1/stored?limit=2&after={page['next']}").json
    assert [each["key"] for each in rest["stored"]] == [second.hex(), third.hex()]


def test_page_without_unexpired_values_has_a_cursor(client):
    keys = sorted(sha1(f"key {number}") for number in range(3))
    for key in keys[:2]:
        expired = StoreEntry(b"1:v", client.node.now - 1)
        client.node.datastore.put(key, client.node.contact, expired)
    client.node.datastore.put(
        keys[2], client.node.contact, StoreEntry(b"1:v", client.node.now + 60)
    )
    page = client.get("/v1/stored?limit=1").json
    assert (page["stored"], page["next"]) == ([], keys[0].hex())
    last = client.get(f"/v1/stored?limit=1&after={keys[1].hex()}").json
    assert [each["key"] for each in last["stored"]] == [keys[2].hex()]


def test_stats_are_those_of_the_node(client):
    found = client.get("/v1/stats").json
    ours = client.node.stats()
    assert found["node"]["port"] == client.node.contact.port
    assert found["joined"] is True
    assert found["calls_by_rpc"] == ours["calls_by_rpc"]
    assert found.keys() - {"node", "joined"} == ours.keys()


def test_head_is_get_without_a_body(client):
    for path in ("/healthz", "/readyz", "/metrics", "/v1/stats", "/v1/openapi.json"):
        head = client.request("HEAD", path)
        assert head.status == 200
        assert head.body == b""


def test_other_paths_and_methods_are_refused_as_json(client):
    nowhere = client.get("/v1/nowhere")
    assert (nowhere.status, nowhere.json["status"]) == (404, 404)
    wrong = client.request("PATCH", "/v1/stats", token=TOKEN)
    assert wrong.status == 405
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_defect_is_reported_as_500_and_logged(client, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr(client.node, "find_value", broken)
    failed = client.get("/v1/values/key")
    assert failed.status == 500
    assert "a defect of this node" in failed.json["detail"]
    assert "RuntimeError: a defect" in caplog.text
    assert client.get("/healthz").status == 200
