"""Latencies: how long a packet takes from one address to another, by a model.

A pair's latency stays the same, and is the same both ways; what changes from packet to
packet is the network's jitter.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Protocol

from kademlua.core.contact import Endpoint
from kademlua.simulation.rng_streams import Streams

_STEPS = 1 << 14
_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
_MEDIAN_DISTANCE = 0.5120
"""The median distance of two points in a square of side 1."""


class Latency(Protocol):
    """A model of latencies."""

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Seconds from one to the other."""


class Constant:
    """The same between any two."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _positive("seconds", seconds)

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Seconds from one to the other."""
        return self.seconds


class LogNormal:
    """Each pair for itself, log-normally distributed: most near the median, some far off.

    Three near each other mean nothing here: the triangle inequality does not hold.
    """

    def __init__(self, streams: Streams, median: float, sigma: float) -> None:
        """``median`` in seconds one way; ``sigma`` is that of the logarithm, 0.5 a usual
        and 1 a wide spread."""
        _positive("median", median)
        _positive("sigma", sigma)
        normal = NormalDist(0, sigma) if sigma else None
        self._seconds = [
            median * (math.exp(normal.inv_cdf((step + 0.5) / _STEPS)) if normal else 1)
            for step in range(_STEPS)
        ]
        self._streams = streams
        self._keys: dict[Endpoint, int] = {}

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Seconds from one to the other."""
        keys = self._keys
        try:
            mixed = keys[a] ^ keys[b]
        except KeyError:
            mixed = self._key(a) ^ self._key(b)
        # A multiplicative hash of the pair picks the quantile: nothing is kept per pair.
        return self._seconds[((mixed * _ODD) & _MASK) >> 50]

    def _key(self, endpoint: Endpoint) -> int:
        if endpoint not in self._keys:
            self._keys[endpoint] = self._streams.number("latency", *endpoint)
        return self._keys[endpoint]


class Coordinates:
    """Points in a square, and an access delay at each: there are near and far, whoever is
    near to a near one is near, and a detour is never much shorter than the direct way."""

    def __init__(
        self, streams: Streams, median: float, access: float = 0.005, sigma: float = 0.5
    ) -> None:
        """``median`` in seconds one way, of all pairs. ``access`` is the median delay of
        one access line, which every packet meets twice, and ``sigma`` its spread (of the
        logarithm)."""
        _positive("median", median)
        _positive("access", access)
        _positive("sigma", sigma)
        if 2 * access > median:
            raise ValueError("access: must not be more than half the median")
        self._streams = streams
        self._side = (median - 2 * access) / _MEDIAN_DISTANCE
        self._access = access
        self._sigma = sigma
        self._points: dict[Endpoint, tuple[float, float, float]] = {}

    def one_way(self, a: Endpoint, b: Endpoint) -> float:
        """Seconds from one to the other."""
        points = self._points
        try:
            x, y, access = points[a]
            other_x, other_y, other_access = points[b]
        except KeyError:
            x, y, access = self._point(a)
            other_x, other_y, other_access = self._point(b)
        x -= other_x
        y -= other_y
        # sqrt is rounded the same everywhere, which hypot is not.
        return access + other_access + math.sqrt(x * x + y * y)

    def _point(self, endpoint: Endpoint) -> tuple[float, float, float]:
        """Where it lies, in seconds, and its access delay."""
        if endpoint not in self._points:
            rng = self._streams.stream("latency", *endpoint)
            self._points[endpoint] = (
                self._side * rng.random(),
                self._side * rng.random(),
                self._access * math.exp(rng.gauss(0, self._sigma)),
            )
        return self._points[endpoint]


def _positive(name: str, seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name}: must be 0 or more, not {seconds!r}")
    return seconds
