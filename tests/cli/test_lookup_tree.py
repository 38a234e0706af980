"""A traced lookup as text."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua.cli.lookup_tree import print_lookup


def contact(name: str) -> dict[str, Any]:
    return {"id": name * 20, "address": "127.0.0.1", "port": int(name, 16)}


def query(
    name: str, queried: float, responder: str | None, hop: int, **more: Any
) -> dict[str, Any]:
    return (
        contact(name)
        | {"responder": responder and responder * 20, "hop": hop, "queried": queried}
        | {"ended": None, "outcome": "left", "reported": 0, "new": 0}
        | more
    )


def test_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    answered = {"outcome": "answered", "reported": 2}
    queries = [
        query("aa", 0.0, None, 1, ended=0.1, new=2, **answered),
        query("bb", 0.0, None, 1, ended=1.5, outcome="failed"),
        query("cc", 0.1, "aa", 2, ended=0.15, **answered),
        query("dd", 0.1001, "aa", 2),
    ]
    trace = {"node": contact("ee"), "seconds": 0.15, "queries": queries}
    found = {"key": "0f" * 20, "contacts": [contact("cc"), contact("aa")], "trace": trace}
    print_lookup(found)
    assert capsys.readouterr().out.splitlines() == [
        "lookup of 0f0f0f0f0f by 127.0.0.1:238: 150.0 ms, 4 queries,"
        " 2 hops to the closest, 2 found",
        "├── aaaaaaaaaa  127.0.0.1:170  +0.0 ms → +100.0 ms  took 100.0 ms, returned 2, 2 new  #2",
        "│   ├── cccccccccc  127.0.0.1:204  +100.0 ms → +150.0 ms  took 50.0 ms, returned 2  #1",
        "│   └── dddddddddd  127.0.0.1:221  +100.1 ms  no reply in 49.9 ms",
        "└── bbbbbbbbbb  127.0.0.1:187  +0.0 ms  failed after 1500.0 ms",
    ]


def test_a_small_one(capsys: pytest.CaptureFixture[str]) -> None:
    queries = [query("aa", 0.0, None, 1, ended=0.1, outcome="answered")]
    trace = {"node": contact("ee"), "seconds": 0.1, "queries": queries}
    found = {"key": "0f" * 20, "contacts": [contact("aa")], "trace": trace}
    print_lookup(found)
    assert "1 query, 1 hop to the closest, 1 found\n" in capsys.readouterr().out
