import random
from statistics import median, quantiles

import pytest

from kademlua.simulation.network.latency import ConstantLatency, CoordinateLatency, LogNormalLatency
from kademlua.simulation.rng_streams import RngStreams

ENDPOINTS = [(f"10.0.{index >> 8}.{index & 255}", 8000 + index % 3) for index in range(300)]
PAIRS = [random.Random(index).sample(ENDPOINTS, 2) for index in range(5_000)]

MODELS = {
    "constant": lambda streams: ConstantLatency(0.05),
    "log-normal": lambda streams: LogNormalLatency(streams, 0.05, 0.5),
    "coordinates": lambda streams: CoordinateLatency(streams, 0.05),
}


@pytest.mark.parametrize("name", MODELS)
def test_latency_is_symmetric_and_independent_of_earlier_queries(name):
    one, other = MODELS[name](RngStreams(1)), MODELS[name](RngStreams(1))
    asked = {(a, b): one.one_way(a, b) for a, b in PAIRS}
    for a, b in reversed(PAIRS):
        assert other.one_way(b, a) == other.one_way(a, b) == asked[a, b] > 0


@pytest.mark.parametrize("name", MODELS)
def test_median_is_as_configured(name):
    model = MODELS[name](RngStreams(1))
    assert median(model.one_way(a, b) for a, b in PAIRS) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("name", ["log-normal", "coordinates"])
def test_other_seed_gives_other_latencies(name):
    one, other = MODELS[name](RngStreams(1)), MODELS[name](RngStreams(2))
    assert sum(one.one_way(a, b) == other.one_way(a, b) for a, b in PAIRS) < 10


def test_log_normal_spread_is_as_configured():
    model = LogNormalLatency(RngStreams(1), 0.05, 0.5)
    cuts = quantiles((model.one_way(a, b) for a, b in PAIRS), n=100)
    assert cuts[83] == pytest.approx(0.05 * 2.718**0.5, rel=0.05)  # one sigma up
    assert cuts[15] == pytest.approx(0.05 / 2.718**0.5, rel=0.05)
    assert LogNormalLatency(RngStreams(1), 0.05, 0).one_way(*PAIRS[0]) == 0.05


def test_log_normal_latencies_of_one_node_are_independent():
    model = LogNormalLatency(RngStreams(1), 0.05, 0.5)
    seen = {model.one_way(ENDPOINTS[0], other) for other in ENDPOINTS[1:]}
    assert len(seen) > 280


def test_coordinates_vary_and_satisfy_the_triangle_inequality():
    model = CoordinateLatency(RngStreams(1), 0.05)
    cuts = quantiles((model.one_way(a, b) for a, b in PAIRS), n=10)
    assert cuts[0] < 0.03 < 0.07 < cuts[-1]
    choice = random.Random(1)
    for a, b in PAIRS:
        c = choice.choice(ENDPOINTS)
        assert model.one_way(a, b) <= model.one_way(a, c) + model.one_way(c, b) + 1e-12
