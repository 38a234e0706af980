"""The health of a node and a swarm, with reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kademlua import Node, sha1
from kademlua.http.health import check_drops, check_lag, check_members, check_values
from tests.http.conftest import HttpClient, ShowSwarm
from tests.swarm.conftest import eventually


def checks(client: HttpClient) -> dict[str, Any]:
    return {each["name"]: each for each in client.get("/v1/health").json["checks"]}


def test_joined_node_is_good(client: HttpClient) -> None:
    found = checks(client)
    assert found["joined"] == {"name": "joined", "level": "good", "reason": "2 contacts"}
    assert found["store"]["reason"] == "0 values, 0 bytes"
    assert found["published values"]["reason"] == "none"
    assert {"reachable", "event loop lag", "drops"} <= found.keys()


def test_node_alone_is_told_what_to_do(
    make_node: Callable[..., Node], serve: Callable[..., HttpClient]
) -> None:
    health = serve(make_node()).get("/v1/health").json
    assert health["level"] in ("warning", "bad")  # bad if this machine is very slow
    assert "start another one" in health["checks"][0]["reason"]


def test_published_values_have_their_copies_counted(client: HttpClient) -> None:
    client.node.publish(sha1("key"), b"value")  # type: ignore[attr-defined]
    reason = checks(client)["published values"]["reason"]
    assert reason == "1 value, each with 3 copies or more"


@pytest.mark.parametrize(("joined", "level"), [(100, "good"), (97, "good"), (90, "warning")])
def test_members(joined: int, level: str) -> None:
    found = check_members(joined, 100)
    assert found["level"] == level
    assert str(joined) in found["reason"]


def test_values_below_their_copies_are_a_warning_and_lost_ones_bad() -> None:
    assert check_values({}, [], 3)["reason"] == "no values stored yet"
    assert check_values({"aa": [1, 2, 3]}, [], 3)["level"] == "good"
    few = check_values({"aa": [1], "bb": [1, 2, 3]}, [], 3)
    assert few["level"] == "warning"
    assert few["reason"] == "1 of 2 keys below 3 copies, the fewest 1; being repaired"
    lost = check_values({"aa": [1, 2, 3]}, ["0123456789"], 3)
    assert lost["level"] == "bad"
    assert lost["reason"] == "1 key lost with the last holder: 01234567"


@pytest.mark.parametrize(("lag", "level"), [(0.001, "good"), (0.1, "warning"), (0.6, "bad")])
def test_lag(lag: float, level: str) -> None:
    assert check_lag(lag)["level"] == level


def test_drops_are_shown_by_reason() -> None:
    assert check_drops({}, 5)["reason"] == "none in the last minute"
    assert check_drops({"malformed": 9}, 10_000)["level"] == "good"
    high = check_drops({"malformed": 90, "too_late": 200}, 1_000)
    assert high["level"] == "warning"
    assert high["reason"] == "290 of 1,000 packets in the last minute: 200 too late, 90 malformed"


@pytest.mark.parametrize(("late", "level"), [(200, "good"), (400, "warning")])
def test_replies_to_lookups_that_ended_need_no_attention(late: int, level: str) -> None:
    assert check_drops({"unexpected response": late, "malformed": 9}, 1_000)["level"] == level


def test_swarm_counts_the_copies_of_values(show_swarm: ShowSwarm) -> None:
    with show_swarm(6) as client, client.connect() as stream:
        stream.sendall(b"GET /v1/swarm/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        client.node.add(sha1("key"), b"value")  # type: ignore[attr-defined]
        assert eventually(lambda: "1 key, each with 7" in checks(client)["values"]["reason"])
        rows = client.get("/v1/swarm").json["nodes"]
        assert all(each["values"] == 1 and each["contacts"] for each in rows)
        listed = client.get("/v1/swarm/values").json
        ports = sorted(each["port"] for each in rows)
        assert listed["replicas"] == 7
        assert [sorted(each["holders"]) for each in listed["values"]] == [ports]
        assert listed["values"][0]["key"] == sha1("key").hex()
