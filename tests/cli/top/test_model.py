"""The figures of a node, from two looks at its counters."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.api.operations import NodeApi
from kademlua.cli.top.model import NodeSample, Sampler, build_model, quantile
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import RTT, World

BOUNDS = [0.001, 0.01, 0.1]


def histogram(*counts: int, total: float = 0.0) -> dict[str, Any]:
    return {"bounds": BOUNDS, "counts": list(counts), "total": total}


def made(
    seconds: float, *, contacts: list[dict[str, Any]] | None = None, **more: Any
) -> NodeSample:
    """What a node says that has counted nothing but ``more``."""
    numbers = ("packets_in", "packets_out", "bytes_in", "bytes_out", "replicated", "released")
    others = ("contacts", "values", "network_size", "calls_in_flight")
    by_name = (
        "requests_by_rpc",
        "errors_out_by_rpc",
        "calls_by_rpc",
        "timeouts_by_rpc",
        "failures_by_rpc",
        "calls_by_purpose",
        "dropped",
    )
    timings = {"round_trips": {}, "lookups": {}, "queries": {}} | more.pop("timings", {})
    stats: dict[str, Any] = dict.fromkeys((*numbers, *others), 0)
    stats |= {name: {} for name in (*by_name, "rate_limited", "deferred", "refused_stores")}
    node = {"id": "ab" * 20, "address": "127.0.0.1", "port": 8001, "joined": True}
    return NodeSample(node, stats | {"seconds": seconds} | more, contacts or [], timings)


def test_rates_cover_time_between_samples() -> None:
    before = made(10, packets_in=100, calls_by_rpc={"ping": 5}, dropped={"junk": 1})
    now = made(12, packets_in=300, calls_by_rpc={"ping": 5, "store": 3}, dropped={"junk": 2})
    told = build_model(before, now, before)
    assert (told["over"], told["window"]) == (2, 2)
    assert told["packets"] == {"in": 100, "out": 0}
    assert told["rpcs"]["store"]["called_rate"] == 1.5
    assert told["rpcs"]["ping"]["called_rate"] == 0
    assert told["dropped"] == {"junk": {"rate": 0.5, "total": 2}}


def test_first_rates_cover_time_since_start() -> None:
    now = made(100, bytes_out=1000, calls_by_purpose={"probe": 50}, requests_by_rpc={"ping": 200})
    told = build_model(None, now, now)
    assert (told["over"], told["window"]) == (100, 0)
    assert told["bytes"]["out"] == 10
    assert told["calls_by_purpose"] == {"probe": {"rate": 0.5, "total": 50}}
    assert told["rpcs"]["ping"]["served_rate"] == 2
    assert told["rpcs"]["ping"]["p50"] is None


def test_model_of_new_node() -> None:
    now = made(0, packets_in=3)
    assert build_model(None, now, now)["packets"]["in"] == 0


def test_latencies_cover_window() -> None:
    first = made(0, timings={"round_trips": {"ping": histogram(0, 0, 100, 0)}})
    trips = {"ping": histogram(10, 0, 100, 0), "store": histogram(0, 4, 0, 0)}
    queries = {"findnode": {"bounds": [1, 2], "counts": [0, 0, 4], "total": 10}}
    lookups = {"findnode": histogram(0, 4, 0, 0, total=0.02)}
    timings = {"round_trips": trips, "lookups": lookups, "queries": queries}
    told = build_model(
        first, made(60, calls_by_rpc={"ping": 110, "store": 4}, timings=timings), first
    )
    assert told["rpcs"]["ping"]["p50"] == pytest.approx(0.0005)
    assert told["rpcs"]["store"]["p50"] == pytest.approx(0.0055)
    assert told["lookups"]["findnode"].items() >= {"count": 4, "queries": 2.5}.items()


def test_the_table_by_bucket() -> None:
    rows = [(159, 5, 0.1), (158, 1, None), (159, 7, 0.3), (159, None, None)]
    contacts = [
        dict(zip(("bucket", "last_seen_seconds", "rtt_seconds"), row, strict=True)) for row in rows
    ]
    now = made(1, contacts=contacts)
    assert build_model(None, now, now)["buckets"] == [
        {"bucket": 159, "contacts": 3, "last_seen_seconds": 7, "rtt_seconds": 0.2},
        {"bucket": 158, "contacts": 1, "last_seen_seconds": 1, "rtt_seconds": None},
    ]


def test_quantiles() -> None:
    assert quantile(histogram(0, 0, 0, 0), 0.5) is None
    assert quantile(histogram(1, 0, 0, 0), 0.5) == pytest.approx(0.0005)
    assert quantile(histogram(50, 50, 0, 0), 0.99) == pytest.approx(0.001 + 0.98 * 0.009)
    assert quantile(histogram(0, 0, 0, 7), 0.5) == 0.1  # over all bounds: no more is known


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0.01, 1))
def test_a_quantile_lies_in_its_bucket(counts: list[int], part: float) -> None:
    value = quantile(histogram(*counts), part)
    if value is None:
        assert not any(counts)
        return
    at_most = sum(counts[: sum(bound <= value for bound in BOUNDS) + 1])
    below = sum(counts[: sum(bound < value for bound in BOUNDS)])
    assert below - 1e-6 <= part * sum(counts) <= at_most + 1e-6


def test_sampler_queries_node(world: World) -> None:
    alice, bob = world.network(2)
    operations = NodeApi(alice, clock=virtual_now)
    sampler = Sampler(lambda name: operations.call(name, {}))
    assert sampler.sample()["contacts"] == 1
    began = virtual_now()
    for _ in range(5):
        alice.ping(bob.contact)
    told = json.loads(json.dumps(sampler.sample()))
    assert told["over"] == pytest.approx(virtual_now() - began, abs=0.002)
    ping = told["rpcs"]["ping"]
    assert ping["called_rate"] == pytest.approx(1 / RTT, rel=0.2)
    assert ping["p50"] == pytest.approx(RTT, abs=0.15)
    assert [each["contacts"] for each in told["buckets"]] == [1]
    for seconds in (50, 50, 100):
        gevent.sleep(seconds)
        told = sampler.sample()
        assert told["window"] == pytest.approx(max(seconds, 50), abs=1)
