"""Which of several values is the newest."""

from __future__ import annotations

from kademlua.cli.newest import distinct, newest


def answers(*values: list[str]) -> list[dict[str, list[str]]]:
    return [{"values": each} for each in values]


def test_value_that_most_nodes_received_last_is_the_newest() -> None:
    assert newest(answers(["old", "new"], ["new", "old"], ["new"])) == "new"


def test_first_answer_decides_between_equals() -> None:
    assert newest(answers(["one"], ["two"])) == "one"


def test_values_are_distinct() -> None:
    assert distinct(answers(["one", "two"], [], ["two"])) == ["one", "two"]
