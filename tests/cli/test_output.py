from __future__ import annotations

import json

import pytest

from kademlua.cli.addresses import bind_hosts
from kademlua.cli.output import value_text
from kademlua.core.json_codec import value_to_json


@pytest.mark.parametrize(
    ("value", "text", "as_json"),
    [
        (b"hello", "hello", "hello"),
        ("grün ✓".encode(), "grün ✓", "grün ✓"),
        (b"", "", ""),
        (b"two\nlines\t.", "two\nlines\t.", "two\nlines\t."),
        (b"\x1b[2J\x07\r", "\\x1b[2J\\x07\\r", "\x1b[2J\x07\r"),
        ("‮x".encode(), "\\u202ex", "‮x"),
        (b"\xff\x00", "0xff00", {"hex": "ff00"}),
        (-5, "-5", -5),
        ([b"a", [1]], '["a", [1]]', ["a", [1]]),
        (
            {b"a": b"\xff", b"\xfe": 1},
            '{"items": [["a", {"hex": "ff"}], [{"hex": "fe"}, 1]]}',
            {"items": [["a", {"hex": "ff"}], [{"hex": "fe"}, 1]]},
        ),
    ],
)
def test_values_as_text_and_as_json(value, text, as_json):
    assert value_text(value) == text
    assert value_to_json(value) == as_json
    assert json.loads(json.dumps(value_to_json(value))) == as_json


@pytest.mark.parametrize(
    ("targets", "hosts"),
    [
        (["127.0.0.1"], ["127.0.0.1"]),
        (["192.0.2.1"], ["0.0.0.0"]),
        (["127.0.0.1", "192.0.2.1"], ["0.0.0.0"]),
        (["::1"], ["::1"]),
        (["2001:db8::1"], ["::"]),
        (["::1", "127.0.0.1"], ["::", "127.0.0.1"]),
        (["2001:db8::1", "192.0.2.1"], ["::", "0.0.0.0"]),
        ([], []),
    ],
)
def test_client_binds_to_the_narrowest_address(targets, hosts):
    assert bind_hosts(targets) == hosts
