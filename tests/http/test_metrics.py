"""Metrics: correct, in the format of Prometheus, and without cost unless HTTP is served."""

from __future__ import annotations

import shutil
import subprocess

import gevent
import pytest
from prometheus_client.parser import text_string_to_metric_families

import kademlua
from kademlua import Node, sha1
from kademlua.build import build_name
from kademlua.http.samplers import HopSampler


def scrape(client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values by name and label values, in the order of the label names."""
    text = client.get("/metrics").body.decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_match_the_counters_of_the_node(client):
    node = client.node
    node.add(sha1("key"), b"value")
    node.find_value(sha1("key"))
    found = scrape(client)
    stats = node.stats()
    assert found["kademlua_packets_total", ("in",)] == stats["packets_in"]
    assert found["kademlua_traffic_bytes_total", ("out",)] == stats["bytes_out"]
    for rpc, count in stats["calls_by_rpc"].items():
        assert found["kademlua_calls_total", (rpc,)] == count
    for cause, count in stats["calls_by_purpose"].items():
        assert found["kademlua_calls_by_purpose_total", (cause,)] == count
    assert found["kademlua_stored_values", ()] == 1
    assert found["kademlua_stored_bytes", ()] == 7
    assert found["kademlua_contacts", ("fresh",)] == 2
    assert found["kademlua_network_size", ()] == 3
    assert found["kademlua_republish_lag_seconds", ()] == 0
    assert found["kademlua_joined", ()] == 1
    assert found["kademlua_node_info", (node.id.hex(),)] == 1
    assert found["kademlua_build_info", (build_name(), kademlua.__version__)] == 1
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_call_results_are_counted_by_kind(client):
    node = client.node
    other = next(iter(node.table))
    node.call(other, "getsocket")
    with pytest.raises(TimeoutError):
        node.call(("127.0.0.1", 9), "getsocket", timeout=0.05)
    with pytest.raises(Exception, match="130"):
        node.call(other, "nonsense")
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        node.call(("127.0.0.1", 9), "impatient")
    found = scrape(client)
    results = {labels: n for (name, labels), n in found.items() if "call_results" in name}
    assert results["answered", "getsocket"] == 1
    assert results["timeout", "getsocket"] == 1
    assert results["failed", "nonsense"] == 1
    assert results["answered", "nonsense"] == 0
    assert results["cancelled", "impatient"] == 1
    stats = node.stats()
    assert sum(results.values()) + stats["calls_in_flight"] == sum(stats["calls_by_rpc"].values())


def test_durations_and_hops_are_histograms(client):
    for number in range(16):
        client.node.find_node(sha1(f"key {number}"))
    found = scrape(client)
    assert found["kademlua_lookup_seconds_count", ("findnode",)] == 16
    assert found["kademlua_lookup_seconds_bucket", ("+Inf", "findnode")] == 16
    assert found["kademlua_lookup_queries_sum", ("findnode",)] == 32
    assert found["kademlua_round_trip_seconds_count", ("findnode",)] >= 32
    gevent.sleep(0.25)  # until the next lookup is sampled
    client.node.find_node(sha1("key"))
    found = scrape(client)
    assert found["kademlua_event_loop_lag_seconds_count", ()] >= 1
    assert found["kademlua_lookup_hops_count", ()] >= 1
    assert found["kademlua_lookup_hops_sum", ()] == found["kademlua_lookup_hops_count", ()]


def test_hops_are_counted_along_the_responders(make_network):
    nodes = make_network(4)
    samples = HopSampler(nodes[0])
    samples.sample_next()
    observer = samples.on_lookup_started("findnode", nodes[3].id, "find_node")
    assert observer is not None
    first, second, third, last = (node.contact for node in nodes)
    observer.on_seeded([first])
    observer.on_reply(first, [second, third])
    observer.on_reply(second, [last])
    observer.on_reply(last, [])
    observer.on_finished()
    assert (samples.histogram.count, samples.histogram.total) == (1, 3)
    assert not nodes[0].services.context.observers.registered


def test_malformed_requests_are_counted(client):
    client.raw(b"nonsense\r\n\r\n")
    found = scrape(client)
    assert found["kademlua_http_malformed_requests_total", ()] == 1
    assert found["kademlua_http_connections", ()] == 1


def test_node_is_observed_only_while_it_is_served(make_node, serve):
    node: Node = make_node()
    assert node.services.context.observers.latency_histograms is None
    client = serve(node)
    gevent.sleep(0.25)
    assert node.services.context.observers.registered
    client.service.close()
    assert not node.services.context.observers.registered


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_problem(client):
    client.node.add(sha1("key"), b"value")
    text = client.get("/metrics").body
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr.strip()) == (0, b"", b"")
