"""Metrics of one node in Prometheus' terms, made from its plain counters when asked for."""

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
from kademlua.http.samplers import HopSamples, LoopLag
from kademlua.node.node import Node

__all__ = ["CONTENT_TYPE", "NodeMetrics"]


class NodeMetrics(Collector):
    """What a node counted, its table and store, and what was seen since ``start``."""

    def __init__(self, node: Node, http: Callable[[], Mapping[str, int]]) -> None:
        """``http`` gives the counts of the HTTP server, by name."""
        self._node = node
        self._http = http
        self._hops = HopSamples(node)
        self._lag = LoopLag(self._hops.watch_next)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def start(self) -> None:
        """Begin to watch the node."""
        self._node.timings()
        self._lag.start()

    def close(self) -> None:
        """Watch it no more; idempotent."""
        self._lag.close()
        self._hops.close()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not gather everything to know the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        stats = self._node.stats()
        yield from self._wire(stats)
        yield from self._calls(stats)
        yield from self._histograms()
        yield from self._state(stats)
        yield from self._server()

    def _wire(self, stats: Mapping[str, Any]) -> Iterator[Metric]:
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
            "throttled", "Requests dropped since there were too many.", "bound", stats["throttled"]
        )
        yield _counter("held", "Requests that waited for a proof of address.", "end", stats["held"])
        yield _counter("requests", "Requests of others served.", "rpc", stats["requests"])
        yield _counter(
            "request_errors", "Requests of others answered with an error.", "rpc",
            stats["errors_by"],
        )  # fmt: skip
        yield _counter("refused_stores", "Stores of others refused.", "reason", stats["refused"])

    def _calls(self, stats: Mapping[str, Any]) -> Iterator[Metric]:
        yield _counter("calls", "Calls of this node to others, sent.", "rpc", stats["calls"])
        results = CounterMetricFamily(
            "kademlua_call_results", "How calls of this node ended.", labels=["rpc", "result"]
        )
        ends = {"failed": "failed_by", "timeout": "timed_out", "given up": "given_up"}
        in_flight = self._node.calls_in_flight()
        for rpc, answered in stats["calls"].items():
            # What is counted of an answered call is its beginning; the rest happens seldom.
            answered -= in_flight.get(rpc, 0)
            for result, name in ends.items():
                count = stats[name].get(rpc, 0)
                answered -= count
                results.add_metric([rpc, result], count)
            results.add_metric([rpc, "answered"], answered)
        yield results
        yield _counter("caused_calls", "Calls by what they were for.", "cause", stats["caused"])
        yield _counter(
            "handed_on_values", "Values that others took of those handed on.", None,
            stats["handed_on"],
        )  # fmt: skip
        yield _counter(
            "let_go_values", "Values let go since nearer nodes hold them.", None, stats["let_go"]
        )
        yield _gauge("published_values", "Values published.", None, len(self._node.published()))
        yield _counter("repeated_calls", "Calls sent again, being late.", None, stats["repeated"])

    def _histograms(self) -> Iterator[Metric]:
        timings = self._node.timings()
        yield _histograms(
            "round_trip_seconds", "From a call to its answer.", "rpc", timings.round_trips
        )
        yield _histograms(
            "lookup_seconds", "From a lookup's beginning to its end.", "rpc", timings.lookups
        )
        yield _histograms("lookup_queries", "Queries of a lookup.", "rpc", timings.queries)
        yield _histograms(
            "lookup_hops",
            "Nodes on the way to the nearest that answered, of ten lookups a second at most.",
            None,
            {"": self._hops.histogram},
        )
        yield _histograms(
            "event_loop_lag_seconds",
            "How late the event loop was, ten times a second.",
            None,
            {"": self._lag.histogram},
        )

    def _state(self, stats: Mapping[str, float]) -> Iterator[Metric]:
        node = self._node
        info = GaugeMetricFamily("kademlua_node_info", "Who it is.", labels=["id"])
        info.add_metric([node.id.hex()], 1)
        yield info
        yield _gauge("joined", "Whether the node is in a network.", None, int(node.joined))
        yield _gauge("contacts", "Contacts by state.", "state", self._contacts())
        yield _gauge("stored_values", "Values kept for the network.", None, stats["values"])
        yield _gauge(
            "stored_bytes", "Bytes of these values, bencoded.", None, node.datastore.stored_bytes
        )
        yield _gauge("calls_in_flight", "Calls not ended yet.", None, stats["calls_in_flight"])
        yield _gauge(
            "network_size", "About how many nodes the network has.", None, stats["network_size"]
        )

    def _contacts(self) -> dict[str, int]:
        """Those in the table heard from lately and not, and those that wait for a place."""
        node = self._node
        since = node.now - node.params.fresh_for
        fresh = sum(peer.heard > since for peer in map(node.table.get, _ids(node)) if peer)
        waiting = sum(len(bucket.replacements) for bucket in node.table.buckets)
        return {"fresh": fresh, "silent": len(node.table) - fresh, "waiting": waiting}

    def _server(self) -> Iterator[Metric]:
        counts = self._http()
        yield _gauge("http_connections", "Open connections.", None, counts["connections"])
        yield _counter(
            "http_ended_connections", "Connections ended for being slow, or too many.", None,
            counts["ended_early"],
        )  # fmt: skip
        yield _counter(
            "http_malformed_requests", "Requests that could not be read.", None,
            counts["malformed"],
        )  # fmt: skip


def _ids(node: Node) -> Iterator[bytes]:
    return (contact.id for contact in node.table)


def _counter(
    name: str, text: str, label: str | None, counts: Mapping[str, int] | float
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"kademlua_{name}", text, labels=[label] if label else [])
    _fill(family, counts)
    return family


def _gauge(
    name: str, text: str, label: str | None, counts: Mapping[str, int] | float
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"kademlua_{name}", text, labels=[label] if label else [])
    _fill(family, counts)
    return family


def _fill(
    family: CounterMetricFamily | GaugeMetricFamily, counts: Mapping[str, int] | float
) -> None:
    if isinstance(counts, Mapping):
        for value, count in counts.items():
            family.add_metric([value], count)
    else:
        family.add_metric([], counts)


def _histograms(
    name: str, text: str, label: str | None, by_label: Mapping[str, Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"kademlua_{name}", text, labels=[label] if label else [])
    for value, histogram in by_label.items():
        buckets = [(_bound_name(bound), float(n)) for bound, n in histogram.buckets()]
        family.add_metric([value] if label else [], buckets, histogram.total)
    return family


def _bound_name(bound: float) -> str:
    return "+Inf" if bound == math.inf else f"{bound:g}"
