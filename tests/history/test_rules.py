"""Hand-made histories: each kind of violation is detected, and what is permitted is not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.history.model import Find, History, Kind, NodeLife, Outage, Partition, Write
from tests.history.report import describe
from tests.history.rules import Bounds, Rules

BOUNDS = Bounds(replicas=3, grace=100, settle=10, rejoin=20)
A, B, C, D = NAMES = [f"{number:040x}" for number in range(1, 5)]
KEY = f"{0:040x}"


class Story:
    """A history of three replicas A, B, C of the key and a reader D, all of them in memory."""

    def __init__(self) -> None:
        self.history = History()
        for name in NAMES:
            self.history.nodes[name] = NodeLife(name, keeps_disk=False, runs=[[0, math.inf]])

    def write(self, value: bytes, at: float, **fields: Any) -> Write:
        defaults: dict[str, Any] = {
            "kind": Kind.ADD,
            "writer": A,
            "owner": A,
            "ttl": 10_000,
            "ended": at + 1,
            "acknowledged": frozenset((A, B, C)),
        }
        write = Write(key=KEY, value=value, started=at, **(defaults | fields))
        write.informed = write.informed or write.acknowledged
        self.history.writes.append(write)
        return write

    def find(self, at: float, *values: bytes, **fields: Any) -> None:
        shown = {C: values} if values else {}
        defaults: dict[str, Any] = {"reader": D, "ended": at + 1, "shown": shown}
        self.history.finds.append(Find(key=KEY, started=at, **(defaults | fields)))

    def violated(self) -> set[str]:
        verdict = Rules(self.history, BOUNDS).check()
        for each in verdict.violations:
            assert each.text in describe(each, self.history)
        return {each.rule for each in verdict.violations}

    def checked(self, rule: str) -> int:
        return Rules(self.history, BOUNDS).check().checked[rule]


@pytest.fixture
def story() -> Story:
    return Story()


def test_kept_promises_are_no_violation(story: Story) -> None:
    story.write(b"v", 100, inspected=frozenset((A, B, C)))
    story.find(200, b"v")
    assert story.violated() == set()
    assert all(story.checked(rule) for rule in ("available", "known", "expired", "kept", "report"))


def test_failed_find(story: Story) -> None:
    story.find(200, error="NotJoined")
    assert story.violated() == {"available"}


def test_unknown_value(story: Story) -> None:
    story.find(200, b"v")
    story.write(b"v", 300)
    assert story.violated() == {"known"}


@pytest.mark.parametrize(("at", "found"), [(260, set()), (262, {"expired"})])
def test_expired_value(story: Story, at: float, found: set[str]) -> None:
    story.write(b"v", 100, ttl=100)
    story.find(at, b"v")
    assert story.violated() == found


def test_publication_expires_after_its_owner(story: Story) -> None:
    story.write(b"v", 100, ttl=100, kind=Kind.PUBLISH)
    story.history.nodes[A].runs = [[0, 1000]]
    story.find(1150, b"v")
    assert story.violated() == set()
    story.find(1170, b"v")
    assert story.violated() == {"expired"}


class TestKept:
    def test_missing_value(self, story: Story) -> None:
        story.write(b"v", 100)
        story.find(200)
        assert story.violated() == {"kept"}

    @pytest.mark.parametrize("field", ["ttl", "error", "acknowledged"])
    def test_nothing_was_promised(self, story: Story, field: str) -> None:
        values = {"ttl": 100, "error": "StoreFailed", "acknowledged": frozenset()}
        story.write(b"v", 100, **{field: values[field]})
        story.find(200)
        assert story.violated() == set()

    def test_attempted_remove_or_overwrite_ends_the_promise(self, story: Story) -> None:
        story.write(b"v", 100)
        story.write(b"", 150, kind=Kind.REMOVE, error="StoreFailed")
        story.find(200)
        assert story.violated() == set()

    def test_holder_that_lost_its_memory(self, story: Story) -> None:
        story.write(b"v", 100, acknowledged=frozenset((B,)))
        story.history.nodes[B].runs = [[0, 120], [130, math.inf]]
        story.find(200)
        assert story.violated() == set()
        story.history.nodes[B].keeps_disk = True
        assert story.violated() == {"kept"}

    @pytest.mark.parametrize(("ended", "found"), [(191, set()), (189, {"kept"})])
    def test_holder_with_an_outage(self, story: Story, ended: float, found: set[str]) -> None:
        story.write(b"v", 100, acknowledged=frozenset((B,)))
        story.history.outages.append(Outage(B, 150, ended))
        story.find(200)
        assert story.violated() == found

    @pytest.mark.parametrize(("ended", "found"), [(181, set()), (179, {"kept"})])
    def test_holder_in_another_partition(self, story: Story, ended: float, found: set[str]) -> None:
        story.write(b"v", 100, acknowledged=frozenset((B,)))
        story.history.partitions.append(Partition(frozenset((B, C)), 150, ended))
        story.find(200)
        assert story.violated() == found

    def test_holder_may_have_released_the_value_to_the_other_side(self, story: Story) -> None:
        story.write(b"v", 100, acknowledged=frozenset((B,)))
        story.history.partitions.append(Partition(frozenset((B, D)), 150, 190))
        story.find(200)
        assert story.violated() == set()


class TestSuperseded:
    @pytest.mark.parametrize("kind", [Kind.ADD, Kind.REMOVE])
    def test_old_value_after_the_grace_period(self, story: Story, kind: Kind) -> None:
        story.write(b"old", 100)
        new = b"new" if kind is Kind.ADD else b""
        story.write(new, 200, kind=kind, acknowledged=frozenset((A, B)))
        shown = {A: (b"new",), C: (b"old",)} if new else {C: (b"old",)}
        story.find(315, shown=shown)
        assert story.violated() == set()
        story.find(325, shown=shown)
        assert story.violated() == {"superseded"}

    def test_minority_does_not_decide(self, story: Story) -> None:
        story.write(b"old", 100)
        story.write(b"new", 200, acknowledged=frozenset((A,)))
        story.find(400, shown={A: (b"new",), C: (b"old",)})
        assert story.violated() == set()

    def test_node_that_was_away_has_the_grace_period(self, story: Story) -> None:
        story.write(b"old", 100)
        story.write(b"new", 200, acknowledged=frozenset((A, B)))
        story.history.outages.append(Outage(C, 190, 300))
        story.find(400, shown={A: (b"new",), C: (b"old",)})
        assert story.violated() == set()

    def test_lower_sequence_number(self, story: Story) -> None:
        story.write(b"5", 100, kind=Kind.SIGNED, owner=KEY, seq=5)
        story.write(b"4", 150, kind=Kind.SIGNED, owner=KEY, seq=4, error="RecordStale")
        story.find(300, b"4")
        assert story.violated() == {"superseded", "kept"}

    def test_expired_successor_is_known_to_its_holders(self, story: Story) -> None:
        story.write(b"old", 100, acknowledged=frozenset((C,)))
        story.write(b"new", 200, ttl=50, acknowledged=frozenset((A, B)))
        story.find(400, b"old")
        assert story.violated() == {"superseded"}

    def test_other_owners_are_independent(self, story: Story) -> None:
        story.write(b"old", 100)
        story.write(b"other", 200, owner=B)
        story.find(400, b"old", b"other")
        assert story.violated() == set()


def test_published_value_is_missing(story: Story) -> None:
    story.write(b"v", 100, ttl=100, kind=Kind.PUBLISH)
    story.find(230)
    assert story.violated() == {"published"}
    story.write(b"", 200, kind=Kind.UNPUBLISH)
    assert story.violated() == set()


def test_false_report(story: Story) -> None:
    story.write(b"v", 100, inspected=frozenset((A, B)), disproved=frozenset((B,)))
    assert story.violated() == {"report"}
