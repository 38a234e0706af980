"""Latency models: the delay between two addresses.

The latency of a pair is constant and symmetric. The network's jitter varies per packet.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, Protocol

from kademlua.core.contact import Endpoint
from kademlua.simulation.rng_streams import RngStreams

_QUANTILES: Final = 1 << 14
_MASK: Final = (1 << 64) - 1
_HASH_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_ACCESS_DELAY: Final = 0.005
"""Median delay of one access link in seconds; a packet crosses two."""
_ACCESS_SIGMA: Final = 0.5
"""Standard deviation of the logarithm of the access delay."""
_MEDIAN_DISTANCE: Final = 0.5120
"""The median distance of two random points in a unit square."""


class LatencyModel(Protocol):
    """A model of latencies."""

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Return the one-way latency in seconds."""


class ConstantLatency:
    """The same latency for all pairs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Return the one-way latency in seconds."""
        return self.seconds


class LogNormalLatency:
    """An independent log-normal latency per pair; the triangle inequality does not hold."""

    def __init__(self, streams: RngStreams, median: float, sigma: float) -> None:
        """Use a one-way ``median`` in seconds; ``sigma`` is the deviation of the logarithm."""
        normal = NormalDist(0, sigma) if sigma else None
        self._seconds = [
            median * (math.exp(normal.inv_cdf((step + 0.5) / _QUANTILES)) if normal else 1)
            for step in range(_QUANTILES)
        ]
        self._streams = streams
        self._endpoint_seeds: dict[Endpoint, int] = {}

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Return the one-way latency in seconds."""
        seeds = self._endpoint_seeds
        try:
            mixed = seeds[a] ^ seeds[b]
        except KeyError:
            mixed = self._endpoint_seed(a) ^ self._endpoint_seed(b)
        # A multiplicative hash of the pair selects the quantile, so no state per pair is needed.
        return self._seconds[((mixed * _HASH_MULTIPLIER) & _MASK) >> 50]

    def _endpoint_seed(self, endpoint: Endpoint) -> int:
        if endpoint not in self._endpoint_seeds:
            self._endpoint_seeds[endpoint] = self._streams.seed_for("latency", *endpoint)
        return self._endpoint_seeds[endpoint]


class CoordinateLatency:
    """The distance of points in a square, plus an access delay at each.

    As on the Internet, the neighbours of a close node are close. No detour is shorter than the
    direct path.
    """

    def __init__(self, streams: RngStreams, median: float) -> None:
        """Create a model with a one-way ``median`` over all pairs, in seconds."""
        self._streams = streams
        self._access_delay = min(_ACCESS_DELAY, median / 10)
        self._side_seconds = (median - 2 * self._access_delay) / _MEDIAN_DISTANCE
        self._points: dict[Endpoint, tuple[float, float, float]] = {}

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Return the one-way latency in seconds."""
        points = self._points
        try:
            x, y, access = points[a]
            other_x, other_y, other_access = points[b]
        except KeyError:
            x, y, access = self._point_of(a)
            other_x, other_y, other_access = self._point_of(b)
        x -= other_x
        y -= other_y
        # sqrt is rounded identically on all platforms; hypot is not.
        return access + other_access + math.sqrt(x * x + y * y)

    def _point_of(self, endpoint: Endpoint) -> tuple[float, float, float]:
        """Return the coordinates of an endpoint and its access delay, all in seconds."""
        if endpoint not in self._points:
            rng = self._streams.stream("latency", *endpoint)
            self._points[endpoint] = (
                self._side_seconds * rng.random(),
                self._side_seconds * rng.random(),
                self._access_delay * math.exp(rng.gauss(0, _ACCESS_SIGMA)),
            )
        return self._points[endpoint]
