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
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from kademlua.core.histograms import Histogram
from kademlua.http.samplers import HopSampler, LoopLagSampler
from kademlua.node.node import Node

__all__ = ["CONTENT_TYPE", "NodeMetrics"]


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
        yield from self._packet_metrics(stats)
        yield from self._call_metrics(stats)
        yield from self._latency_metrics()
        yield from self._state_metrics(stats)
        yield from self._http_metrics()

    def _packet_metrics(self, stats: Mapping[str, Any]) -> Iterator[Metric]:
        yield _counter(
            "packets", "Datagrams.", "direction",
            {"in": stats["packets_in"], "out": stats["packets_out"]},
        )  # fmt: skip
        yield _counter(
            "traffic_bytes", "Bytes of datagrams, without the headers of UDP and IP.", "direction",
            {"in": stats["bytes_in"], "out": stats["bytes_out"]},
        )  # fmt: skip
        yield _counter("dropped", "What was dropped, by reason.", "reason", stats["dropped"])
        yield _counter(
            "rate_limited",
            "Requests dropped by a rate limit.",
            "limit",
            stats["rate_limited"],
        )
        yield _counter(
            "deferred", "Requests deferred for address validation.", "outcome", stats["deferred"]
        )
        yield _counter("requests", "Requests of others served.", "rpc", stats["requests_by_rpc"])
        yield _counter(
            "request_errors", "Requests of others answered with an error.", "rpc",
            stats["errors_out_by_rpc"],
        )  # fmt: skip
        yield _counter(
            "refused_stores", "Stores of others refused.", "reason", stats["refused_stores"]
        )

    def _call_metrics(self, stats: Mapping[str, Any]) -> Iterator[Metric]:
        yield _counter("calls", "Calls of this node to others, sent.", "rpc", stats["calls_by_rpc"])
        results = CounterMetricFamily(
            "kademlua_call_results", "How calls of this node ended.", labels=["rpc", "result"]
        )
        stats_key_by_result = {
            "failed": "failures_by_rpc",
            "timeout": "timeouts_by_rpc",
            "cancelled": "cancelled_by_rpc",
        }
        in_flight = self._node.calls_in_flight()
        for rpc, replied_count in stats["calls_by_rpc"].items():
            # Successful calls are not counted: they are the started ones minus all others.
            replied_count -= in_flight.get(rpc, 0)
            for result, stats_key in stats_key_by_result.items():
                count = stats[stats_key].get(rpc, 0)
                replied_count -= count
                results.add_metric([rpc, result], count)
            results.add_metric([rpc, "answered"], replied_count)
        yield results
        yield _counter(
            "calls_by_purpose", "Calls by purpose.", "purpose", stats["calls_by_purpose"]
        )
        yield _counter(
            "replicated_values", "Values that other nodes took from this one.", None,
            stats["replicated"],
        )  # fmt: skip
        yield _counter(
            "released_values",
            "Values released because closer nodes hold them.",
            None,
            stats["released"],
        )
        yield _gauge("published_values", "Values published.", None, len(self._node.published()))
        yield _counter(
            "retransmitted_calls", "Calls sent a second time.", None, stats["retransmitted"]
        )

    def _latency_metrics(self) -> Iterator[Metric]:
        histograms = self._node.timings()
        yield _histogram("round_trip_seconds", "From a call to its answer.", "rpc", histograms.rtts)
        yield _histogram(
            "lookup_seconds",
            "From a lookup's beginning to its end.",
            "rpc",
            histograms.lookup_times,
        )
        yield _histogram("lookup_queries", "Queries of a lookup.", "rpc", histograms.lookup_queries)
        yield _histogram(
            "lookup_hops",
            "Nodes on the way to the nearest that answered, of ten lookups a second at most.",
            None,
            {"": self._hop_sampler.histogram},
        )
        yield _histogram(
            "event_loop_lag_seconds",
            "How late the event loop was, ten times a second.",
            None,
            {"": self._loop_lag_sampler.histogram},
        )

    def _state_metrics(self, stats: Mapping[str, float]) -> Iterator[Metric]:
        node = self._node
        info = GaugeMetricFamily("kademlua_node_info", "Who it is.", labels=["id"])
        info.add_metric([node.id.hex()], 1)
        yield info
        yield _gauge("joined", "Whether the node is in a network.", None, int(node.joined))
        yield _gauge("contacts", "Contacts by state.", "state", self._contact_counts())
        yield _gauge("stored_values", "Values kept for the network.", None, stats["values"])
        yield _gauge(
            "stored_bytes", "Bytes of these values, bencoded.", None, node.datastore.stored_bytes
        )
        yield _gauge("calls_in_flight", "Calls not ended yet.", None, stats["calls_in_flight"])
        yield _gauge(
            "network_size", "About how many nodes the network has.", None, stats["network_size"]
        )

    def _contact_counts(self) -> dict[str, int]:
        """Return the numbers of fresh, stale and replacement contacts."""
        node = self._node
        fresh_since = node.now - node.params.freshness_window
        fresh = sum(
            peer.last_seen > fresh_since for peer in map(node.table.get, _contact_ids(node)) if peer
        )
        replacement_count = sum(len(bucket.replacements) for bucket in node.table.buckets)
        return {"fresh": fresh, "silent": len(node.table) - fresh, "waiting": replacement_count}

    def _http_metrics(self) -> Iterator[Metric]:
        counts = self._http_counts()
        yield _gauge("http_connections", "Open connections.", None, counts["connections"])
        yield _counter(
            "http_ended_connections", "Connections ended for being slow, or too many.", None,
            counts["ended_early"],
        )  # fmt: skip
        yield _counter(
            "http_malformed_requests", "Requests that could not be read.", None,
            counts["malformed"],
        )  # fmt: skip


def _contact_ids(node: Node) -> Iterator[bytes]:
    return (contact.id for contact in node.table)


def _counter(
    name: str, help_text: str, label: str | None, counts: Mapping[str, int] | float
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"kademlua_{name}", help_text, labels=[label] if label else [])
    _add_samples(family, counts)
    return family


def _gauge(
    name: str, help_text: str, label: str | None, counts: Mapping[str, int] | float
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"kademlua_{name}", help_text, labels=[label] if label else [])
    _add_samples(family, counts)
    return family


def _add_samples(
    family: CounterMetricFamily | GaugeMetricFamily, counts: Mapping[str, int] | float
) -> None:
    if isinstance(counts, Mapping):
        for value, count in counts.items():
            family.add_metric([value], count)
    else:
        family.add_metric([], counts)


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
