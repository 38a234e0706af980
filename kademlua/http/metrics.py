"""Prometheus metrics of one node, computed from its counters on request."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

import kademlua
from kademlua.build import build_name
from kademlua.core.histograms import Histogram
from kademlua.http.samplers import HopSampler, LoopLagSampler
from kademlua.node.node import Node

__all__ = ["CONTENT_TYPE", "NodeMetrics"]


Family = CounterMetricFamily | GaugeMetricFamily

_FROM_STATS: tuple[tuple[type[Family], str, str, str | None, str], ...] = (
    (CounterMetricFamily, "dropped", "Dropped packets.", "reason", "dropped"),
    (CounterMetricFamily, "rate_limited", "Requests over a rate limit.", "limit", "rate_limited"),
    (CounterMetricFamily, "deferred", "Requests held for validation.", "outcome", "deferred"),
    (CounterMetricFamily, "requests", "Served requests.", "rpc", "requests_by_rpc"),
    (CounterMetricFamily, "request_errors", "Error replies sent.", "rpc", "errors_out_by_rpc"),
    (CounterMetricFamily, "refused_stores", "Refused stores.", "reason", "refused_stores"),
    (CounterMetricFamily, "ignored_values", "Values ignored.", "reason", "ignored_values"),
    (CounterMetricFamily, "calls", "Calls sent.", "rpc", "calls_by_rpc"),
    (CounterMetricFamily, "calls_by_purpose", "Calls sent.", "purpose", "calls_by_purpose"),
    (CounterMetricFamily, "retransmitted_calls", "Calls sent twice.", None, "retransmitted"),
    (CounterMetricFamily, "replicated_values", "Values sent to replicas.", None, "replicated"),
    (CounterMetricFamily, "released_values", "Values left to closer nodes.", None, "released"),
    (CounterMetricFamily, "evicted_values", "Values that yielded to others.", None, "evicted"),
    (GaugeMetricFamily, "stored_values", "Values stored for the network.", None, "values"),
    (GaugeMetricFamily, "calls_in_flight", "Calls without a result yet.", None, "calls_in_flight"),
    (GaugeMetricFamily, "republish_lag_seconds", "Oldest overdue value.", None, "republish_lag"),
    (GaugeMetricFamily, "network_size", "Estimated number of nodes.", None, "network_size"),
)
"""Type, name, help text and label of a metric, and its key in ``Node.stats``."""

_RESULTS = {
    "failed": "failures_by_rpc",
    "timeout": "timeouts_by_rpc",
    "cancelled": "cancelled_by_rpc",
}
"""Results of unsuccessful calls, and their keys in ``Node.stats``."""


class NodeMetrics(Collector):
    """Counters of a node, its table and store, and latencies since ``start``."""

    def __init__(self, node: Node, http_counts: Callable[[], Mapping[str, int]]) -> None:
        """Prepare the metrics; ``http_counts`` returns the counters of the HTTP server by name."""
        self._node = node
        self._http_counts = http_counts
        self._hop_sampler = HopSampler(node)
        self._loop_lag_sampler = LoopLagSampler(self._hop_sampler.sample_next)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    @property
    def recent_lag(self) -> float:
        """The recent lag of the event loop in seconds."""
        return self._loop_lag_sampler.recent_lag

    def start(self) -> None:
        """Start to observe the node."""
        self._node.timings()
        self._loop_lag_sampler.start()

    def close(self) -> None:
        """Stop observing the node; idempotent."""
        self._loop_lag_sampler.close()
        self._hop_sampler.close()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry need not collect everything to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values."""
        stats = self._node.stats()
        for kind, name, help_text, label, key in _FROM_STATS:
            yield _family(kind, name, help_text, label, stats[key])
        yield from self._traffic_metrics(stats)
        yield self._call_results(stats)
        yield from self._state_metrics()
        yield from self._latency_metrics()
        yield from self._http_metrics()

    def _traffic_metrics(self, stats: Mapping[str, Any]) -> Iterator[Metric]:
        packets, byte_counts = (
            {"in": stats[f"{unit}_in"], "out": stats[f"{unit}_out"]}
            for unit in ("packets", "bytes")
        )
        yield _family(CounterMetricFamily, "packets", "Datagrams.", "direction", packets)
        help_text = "Bytes of datagrams without the headers of UDP and IP."
        yield _family(CounterMetricFamily, "traffic_bytes", help_text, "direction", byte_counts)

    def _call_results(self, stats: Mapping[str, Any]) -> Metric:
        results = CounterMetricFamily(
            "kademlua_call_results", "Completed calls.", labels=["rpc", "result"]
        )
        in_flight = self._node.calls_in_flight()
        for rpc, answered in stats["calls_by_rpc"].items():
            # Successful calls are not counted: they are the started ones minus all others.
            answered -= in_flight.get(rpc, 0)
            for result, stats_key in _RESULTS.items():
                count = stats[stats_key].get(rpc, 0)
                answered -= count
                results.add_metric([rpc, result], count)
            results.add_metric([rpc, "answered"], answered)
        return results

    def _state_metrics(self) -> Iterator[Metric]:
        node, gauge = self._node, GaugeMetricFamily
        yield _family(gauge, "node_info", "The id of the node.", "id", {node.id.hex(): 1})
        build = {"version": kademlua.__version__, "build": build_name()}
        yield InfoMetricFamily("kademlua_build", "The version and build that run.", build)
        yield _family(gauge, "joined", "1 if the node is in a network.", None, int(node.joined))
        yield _family(gauge, "contacts", "Contacts by state.", "state", self._contact_counts())
        stored_bytes = node.datastore.stored_bytes
        yield _family(gauge, "stored_bytes", "Bencoded bytes of stored values.", None, stored_bytes)
        published = len(node.services.republisher)
        yield _family(gauge, "published_values", "Published values.", None, published)

    def _latency_metrics(self) -> Iterator[Metric]:
        timings = self._node.timings()
        yield _histogram("round_trip_seconds", "Round trips of calls.", "rpc", timings.rtts)
        yield _histogram("lookup_seconds", "Durations of lookups.", "rpc", timings.lookup_times)
        yield _histogram("lookup_queries", "Queries per lookup.", "rpc", timings.lookup_queries)
        hops, lag = self._hop_sampler.histogram, self._loop_lag_sampler.histogram
        help_text = "Hops to the closest node that replied; at most ten lookups per second."
        yield _histogram("lookup_hops", help_text, None, {"": hops})
        help_text = "Lag of the event loop, sampled ten times per second."
        yield _histogram("event_loop_lag_seconds", help_text, None, {"": lag})

    def _contact_counts(self) -> dict[str, int]:
        """Return the numbers of fresh, stale and replacement contacts."""
        node = self._node
        fresh_since = node.now - node.params.freshness_window
        fresh = sum(
            peer.last_seen > fresh_since
            for peer in map(node.table.get, (each.id for each in node.table))
            if peer
        )
        replacement_count = sum(len(bucket.replacements) for bucket in node.table.buckets)
        return {"fresh": fresh, "silent": len(node.table) - fresh, "waiting": replacement_count}

    def _http_metrics(self) -> Iterator[Metric]:
        counter, counts = CounterMetricFamily, self._http_counts()
        connections = counts["connections"]
        yield _family(GaugeMetricFamily, "http_connections", "Open connections.", None, connections)
        help_text = "Connections aborted for being slow, or too many."
        yield _family(counter, "http_ended_connections", help_text, None, counts["ended_early"])
        help_text = "Malformed requests."
        yield _family(counter, "http_malformed_requests", help_text, None, counts["malformed"])


def _family(
    kind: type[Family],
    name: str,
    help_text: str,
    label: str | None,
    counts: Mapping[str, int] | float,
) -> Family:
    family = kind(f"kademlua_{name}", help_text, labels=[label] if label else [])
    if isinstance(counts, Mapping):
        for value, count in counts.items():
            family.add_metric([value], count)
    else:
        family.add_metric([], counts)
    return family


def _histogram(
    name: str, help_text: str, label: str | None, by_label: Mapping[str, Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"kademlua_{name}", help_text, labels=[label] if label else [])
    for value, histogram in by_label.items():
        buckets = [(_bound_label(bound), float(n)) for bound, n in histogram.cumulative_buckets()]
        family.add_metric([value] if label else [], buckets, histogram.total)
    return family


def _bound_label(bound: float) -> str:
    return "+Inf" if bound == math.inf else f"{bound:g}"
