"""Counters and their snapshots."""

from __future__ import annotations

import json

from kademlua.core.stats import COUNTERS, Stats, add_counts


def test_a_snapshot_holds_every_counter():
    stats = Stats(100.0)
    for number, name in enumerate(COUNTERS, 1):
        if isinstance(getattr(stats, name), int):
            setattr(stats, name, number)
        else:
            getattr(stats, name)["x"] += number
    snapshot = stats.snapshot(102.5)
    assert snapshot.pop("seconds") == 2.5
    numbers = {
        name: number if isinstance(getattr(stats, name), int) else {"x": number}
        for number, name in enumerate(COUNTERS, 1)
    }
    sums = {
        "timeouts": "timeouts_by_rpc",
        "failures": "failures_by_rpc",
        "errors_out": "errors_out_by_rpc",
    }
    for name, parts in sums.items():
        assert snapshot.pop(name) == sum(numbers[parts].values())
    assert snapshot == numbers


def test_a_snapshot_is_plain_and_does_not_change_any_more():
    stats = Stats(0.0)
    stats.dropped["short"] += 1
    snapshot = stats.snapshot(1.0)
    before = json.dumps(snapshot)
    stats.dropped["short"] += 1
    stats.calls_by_rpc["ping"] += 1
    assert json.dumps(snapshot) == before


def test_two_nodes_have_separate_stats():
    one, other = Stats(0.0), Stats(0.0)
    one.calls_by_rpc["ping"] += 1
    assert not other.calls_by_rpc


def test_counts_are_added_to_earlier_ones():
    stats = Stats(0.0)
    for _ in range(2):
        add_counts(stats.rejected_records, {"forged": 2, "stale": 1})
    add_counts(stats.rejected_records, {})
    assert stats.snapshot(0.0)["rejected_records"] == {"forged": 4, "stale": 2}
