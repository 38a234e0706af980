"""The seed corpus and earlier findings cause no failure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz import seeds
from tests.fuzz.targets import MAKERS, NodeTarget

CORPUS = Path(__file__).parent / "corpus"


@contextmanager
def made(name: str) -> Iterator[Callable[[bytes], None]]:
    target = MAKERS[name]()
    yield target
    getattr(target, "close", int)()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_the_corpus(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert inputs
    with made(name) as target:
        for data in inputs:
            target(data)
            target(data[: len(data) // 2])


def test_node_handles_the_corpus_as_expected() -> None:
    """Else the fuzzer would look at nothing but dropped packets."""
    with made("node") as target:
        for name, data in seeds.seeds():
            if name == "node":
                target(data)
        assert isinstance(target, NodeTarget)
        counts = target.counts
    assert counts["requests_by_rpc"].keys() >= {"ping", "findnode", "findvalue", "store", "remove"}
    assert sum(counts["dropped"].values()) < counts["packets_in"] / 2


def test_corpus_contains_valid_inputs() -> None:
    for name, data in seeds.seeds():
        if name == "scenario":  # those are edited
            continue
        assert data in [path.read_bytes() for path in (CORPUS / name).iterdir()]


def test_an_input_is_quick() -> None:
    target = MAKERS["bencoded"]()
    for data in (b"l" * 4096, b"d" * 4096, b"i" + b"9" * 4000 + b"e", b"9" * 4096):
        best = min(_seconds(target, data) for _ in range(5))
        assert best < 0.005


def _seconds(target: object, data: bytes) -> float:
    assert callable(target)
    began = time.perf_counter()
    target(data)
    return time.perf_counter() - began
