"""The model of ``kademlua top``: rates from two samples of a node's counters."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any

_WINDOW = 60.0
"""Seconds that latencies cover; one second has too few calls."""

TopModel = dict[str, Any]
"""The JSON object that ``build_model`` returns."""


@dataclass(frozen=True, slots=True)
class NodeSample:
    """The results of the API operations of the same names at one time."""

    node: dict[str, Any]
    stats: dict[str, Any]
    contacts: list[dict[str, Any]]
    timings: dict[str, Any]

    @property
    def seconds(self) -> float:
        """The time of the sample, in seconds since the node started."""
        return float(self.stats["seconds"])


class Sampler:
    """Samples a node repeatedly, and keeps a window of 60 seconds."""

    def __init__(self, call: Callable[[str], dict[str, Any]]) -> None:
        """``call`` runs an API operation of the node."""
        self._call = call
        self._samples: deque[NodeSample] = deque()

    def sample(self) -> TopModel:
        """Return the model since the previous sample, or since the node started."""
        contacts = self._call("contacts")["contacts"]
        now = NodeSample(self._call("node"), self._call("stats"), contacts, self._call("timings"))
        previous = self._samples[-1] if self._samples else None
        self._samples.append(now)
        while len(self._samples) > 2 and now.seconds - self._samples[0].seconds > _WINDOW:
            self._samples.popleft()
        return build_model(previous, now, self._samples[0])


def build_model(previous: NodeSample | None, now: NodeSample, first: NodeSample) -> TopModel:
    """Return what a node did since ``previous``, or since its start if that is None, as JSON.

    Rates (``…_rate``, ``packets`` and ``bytes``) are per second, over ``over`` seconds. Latencies
    are in seconds, over the ``window`` seconds since ``first``, or null without calls.
    """
    stats = now.stats
    before = previous.stats if previous is not None else {}
    elapsed = now.seconds - float(before.get("seconds", 0))

    def rate(name: str) -> float:
        return _rate(stats[name] - before.get(name, 0), elapsed)

    def rates(name: str) -> dict[str, float]:
        old = before.get(name, {})
        return {key: _rate(count - old.get(key, 0), elapsed) for key, count in stats[name].items()}

    def rates_and_totals(name: str) -> dict[str, dict[str, float]]:
        return {
            key: {"rate": changed, "total": stats[name][key]}
            for key, changed in sorted(rates(name).items())
        }

    histograms = {name: _histograms_since(first, now, name) for name in now.timings}
    totals = ("contacts", "values", "network_size", "calls_in_flight")
    counters = ("calls_by_purpose", "dropped", "rate_limited", "deferred", "refused_stores")
    return {
        "node": now.node,
        "seconds": now.seconds,
        "over": round(elapsed, 3),
        "window": round(now.seconds - first.seconds, 3),
        "packets": {"in": rate("packets_in"), "out": rate("packets_out")},
        "bytes": {"in": rate("bytes_in"), "out": rate("bytes_out")},
        **{name: stats[name] for name in totals},
        "replicated_rate": rate("replicated"),
        "released_rate": rate("released"),
        "rpcs": _rpcs(rates, histograms["round_trips"]),
        "lookups": _lookups(histograms["lookups"], histograms["queries"]),
        **{name: rates_and_totals(name) for name in counters},
        "buckets": _buckets(now.contacts),
    }


def quantile(histogram: Mapping[str, Any], q: float) -> float | None:
    """Estimate the ``q`` quantile, assuming an even spread within each bucket.

    Return the last bound if the quantile exceeds it, or None for an empty histogram.
    """
    counts = histogram["counts"]
    bounds = [0.0, *histogram["bounds"]]
    target = q * sum(counts)
    for place, cumulative in enumerate(accumulate(counts)):
        if counts[place] and cumulative >= target:
            if place == len(bounds) - 1:
                break
            low, high = bounds[place], bounds[place + 1]
            return float(high - (high - low) * (cumulative - target) / counts[place])
    return float(bounds[-1]) if any(counts) else None


def _rate(count: float, seconds: float) -> float:
    return round(count / seconds, 3) if seconds > 0 else 0.0


def _histograms_since(first: NodeSample, now: NodeSample, name: str) -> dict[str, dict[str, Any]]:
    """Return the histograms of the events after ``first``."""
    found = {}
    for key, histogram in now.timings[name].items():
        old = first.timings[name].get(key, {"counts": [0] * len(histogram["counts"]), "total": 0})
        found[key] = histogram | {
            "counts": list(map(operator.sub, histogram["counts"], old["counts"])),
            "total": histogram["total"] - old["total"],
        }
    return found


def _latencies(histogram: Mapping[str, Any]) -> dict[str, float | None]:
    return {"p50": _rounded(quantile(histogram, 0.5)), "p99": _rounded(quantile(histogram, 0.99))}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _rpcs(
    rates: Callable[[str], dict[str, float]], round_trips: dict[str, dict[str, Any]]
) -> dict[str, dict[str, float | None]]:
    columns = {
        "served_rate": rates("requests_by_rpc"),
        "errors_rate": rates("errors_out_by_rpc"),
        "called_rate": rates("calls_by_rpc"),
        "timeout_rate": rates("timeouts_by_rpc"),
        "failed_rate": rates("failures_by_rpc"),
    }
    found: dict[str, dict[str, float | None]] = {}
    for name in sorted({name for column in columns.values() for name in column}):
        found[name] = {title: column.get(name, 0.0) for title, column in columns.items()}
        found[name] |= _latencies(round_trips.get(name, {"counts": [], "bounds": []}))
    return found


def _lookups(
    seconds: dict[str, dict[str, Any]], queries: dict[str, dict[str, Any]]
) -> dict[str, dict[str, float | None]]:
    """Return count, mean queries and latencies by RPC, over the window."""
    found: dict[str, dict[str, float | None]] = {}
    for name, histogram in sorted(seconds.items()):
        count = sum(histogram["counts"])
        mean = round(queries[name]["total"] / count, 1) if count else None
        found[name] = {"count": count, "queries": mean} | _latencies(histogram)
    return found


def _buckets(contacts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return contacts, longest silence and median round trip by bucket, the farthest first."""
    by_number: dict[int, list[dict[str, Any]]] = {}
    for contact in contacts:
        by_number.setdefault(contact["bucket"], []).append(contact)
    rows = []
    for number, members in sorted(by_number.items(), reverse=True):
        silences, rtts = (
            [each[name] for each in members if each[name] is not None]
            for name in ("last_seen_seconds", "rtt_seconds")
        )
        rows.append(
            {
                "bucket": number,
                "contacts": len(members),
                "last_seen_seconds": max(silences, default=None),
                "rtt_seconds": _rounded(median(rtts)) if rtts else None,
            }
        )
    return rows
