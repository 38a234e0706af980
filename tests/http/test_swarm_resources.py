"""A swarm over HTTP, with real workers and sockets."""

from __future__ import annotations

import json
import re

import gevent
import pytest
from gevent.pool import Pool

from kademlua import Node, sha1
from tests.http.conftest import TOKEN, HttpClient, ShowSwarm
from tests.swarm.conftest import eventually

_EVENT = re.compile(rb"event: (\S+)\ndata: (\{[^\n]*\})\n\n")


def events_until(client: HttpClient, wanted: set[str]) -> list[tuple[str, dict]]:  # type: ignore[type-arg]
    """Return the events of the stream until each wanted name occurred."""
    with client.connect() as sock:
        sock.sendall(b"GET /v1/swarm/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        text = b""
        with gevent.Timeout(20, AssertionError(f"not all of {wanted}")):
            while True:
                found = [(name.decode(), json.loads(data)) for name, data in _EVENT.findall(text)]
                if wanted <= {name for name, _ in found}:
                    return found
                text += sock.recv(65_536)


def test_nodes_are_listed_and_their_events_streamed(show_swarm: ShowSwarm) -> None:
    with show_swarm(6) as client:
        nodes = client.get("/v1/swarm").json["nodes"]
        assert len(nodes) == 7
        assert sum(each["is_control"] for each in nodes) == 1
        ids = {each["id"] for each in nodes}
        wanted = {"swarm", "lookup-began", "lookup-queried", "lookup-answered", "lookup-ended"}
        events = events_until(client, wanted)
        for name, data in events:
            if name == "lookup-began":
                assert data["node"] in ids
            if name == "lookup-answered":
                assert data["contact"]["id"] in ids
            if name == "swarm":
                assert (data["nodes"], data["joined"]) == (7, 7)
        numbers = [data["lookup"] for name, data in events if name == "lookup-began"]
        assert len(set(numbers)) == len(numbers)
        node: Node = client.node  # type: ignore[attr-defined]

        def is_watched() -> bool:
            node.find_node(sha1("x"))  # after which the metrics do not watch the node either
            return bool(node.services.context.observers.registered)

        assert eventually(lambda: not is_watched())


def test_node_is_killed_and_another_started(show_swarm: ShowSwarm) -> None:
    with show_swarm(4) as client:
        members = client.swarm.members  # type: ignore[attr-defined]
        assert client.request("POST", "/v1/swarm/kill").status == 401
        killed = client.request("POST", "/v1/swarm/kill", b"", token=TOKEN)
        assert killed.status == 200
        assert eventually(lambda: members.deaths == 1)
        nodes = client.get("/v1/swarm").json["nodes"]
        assert killed.json["id"] not in {each["id"] for each in nodes}
        started = client.request("POST", "/v1/swarm/join", b"", token=TOKEN)
        assert started.json == killed.json | {"joined": False}  # at the free port
        assert eventually(lambda: members.arrivals == 1)
        one_more = client.request("POST", "/v1/swarm/join", b"", token=TOKEN)
        assert one_more.json["port"] not in {each["port"] for each in nodes}
        assert eventually(lambda: members.joined_count == 5)
        found = client.get("/v1/lookup/anything").json["contacts"]
        assert one_more.json["port"] in {each["port"] for each in found}


@pytest.mark.slow
def test_inventory_may_exceed_the_pipe_of_a_worker(show_swarm: ShowSwarm) -> None:
    with show_swarm(12) as client, client.connect() as stream:
        node: Node = client.node  # type: ignore[attr-defined]
        for _ in Pool(30).imap_unordered(
            lambda key: node.add(key, 1), map(sha1, map(str, range(990)))
        ):
            pass
        stream.sendall(b"GET /v1/swarm/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        path = "/v1/swarm/values?limit=1000"
        assert eventually(lambda: client.get(path).json["count"] == 990)
        assert eventually(
            lambda: {len(each["holders"]) for each in client.get(path).json["values"]} == {13}
        )


def test_chosen_node_is_killed(show_swarm: ShowSwarm) -> None:
    with show_swarm(3) as client:
        port = client.swarm.members.all[1].port  # type: ignore[attr-defined]
        path = f"/v1/swarm/kill?port={port}"
        assert client.request("POST", path, b"", token=TOKEN).json["port"] == port
        refused = client.request("POST", path, b"", token=TOKEN)
        assert refused.status == 409
        assert f"on port {port}" in refused.json["detail"]


def test_kill_without_a_joined_node_is_409(show_swarm: ShowSwarm) -> None:
    with show_swarm(1) as client:
        assert client.request("POST", "/v1/swarm/kill", b"", token=TOKEN).status == 200
        refused = client.request("POST", "/v1/swarm/kill", b"", token=TOKEN)
        assert refused.status == 409
        assert "no joined node" in refused.json["detail"]


def test_control_node_serves_the_value_requests(show_swarm: ShowSwarm) -> None:
    with show_swarm(3) as client:
        assert len(client.post("/v1/values/key", b"value").json["acknowledged"]) == 4
        assert b"value" in client.get("/v1/values/key").body
        assert b'data-of="swarm"' in client.get("/").body
        assert "/v1/swarm" in client.get("/v1/openapi.json").json["paths"]
