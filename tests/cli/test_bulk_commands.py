"""add --from and find --from: many keys at a time, as processes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kademlua.cli.bulk_input import read_batches
from kademlua.core.ids import sha1
from tests.support.peers import wait_until


@pytest.fixture
def network(launch: Any) -> str:
    """The address of one of two nodes that know each other."""
    _, first = launch.node()
    process, _ = launch.node("--bootstrap", first)
    process.err.expect("joined")
    address: str = first
    return address


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.tsv"
    lines = [f"key {number}\tvalue {number}" for number in range(500)]
    path.write_text("\n".join([*lines, json.dumps({"key": "json", "value": {"a": [1]}})]))
    return str(path)


def test_add_and_find(launch: Any, network: str, rows: str) -> None:
    done = launch.run("add", "--from", rows, "--via", network)
    assert (done.returncode, done.stdout) == (0, b"stored 501 values\n")
    done = launch.run("find", "--from", rows, "--via", network)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 501
    assert "key 7: value 7" in lines
    assert 'json: {"a": [1]}' in lines


def test_failures_are_summed_up(launch: Any, network: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    good = [f"{number}\tx" for number in range(3)]
    path.write_text("\n".join([*good, "", "no tab", '{"key": 5}', "large\t" + "x" * 20_000]))
    done = launch.run("add", "--from", str(path), "--via", network)
    assert (done.returncode, done.stdout) == (1, b"stored 3 values\n")
    assert b"Error: line 5: there is no tab between a key and a value\n" in done.stderr
    assert b"Error: line 6: the field 'key' is a text\n" in done.stderr
    assert b"Error: large: a value has at most 15,000 bytes" in done.stderr
    path.write_text("missing\n" * 1 + "".join(f"missing {n}\n" for n in range(20)))
    done = launch.run("find", "--from", str(path), "--via", network)
    assert done.returncode == 1
    assert done.stderr.endswith(b"Error: 21 lines failed: 21 \xc3\x97 no value found\n")
    assert done.stderr.count(b"\n") == 11


def test_json(launch: Any, network: str, rows: str) -> None:
    done = launch.run("add", "--from", rows, "--json", "--via", network)
    assert json.loads(done.stdout) == {"stored": 501, "failed": {}}
    done = launch.run("find", "--from", rows, "--json", "--via", network)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 501
    assert next(row for row in found if row["text"] == "json")["values"] == [{"a": [1]}]


def test_running_node(launch: Any, rows: str) -> None:
    _, first = launch.node()
    data = launch.home / "data"
    process, _ = launch.node("--bootstrap", first, "--data", str(data))
    process.err.expect("joined")
    done = launch.run("add", "--from", rows, "--data", str(data))
    assert (done.returncode, done.stdout) == (0, b"stored 501 values\n")
    done = launch.run("find", "--from", rows, "--data", str(data))
    assert len(done.stdout.splitlines()) == 501


def test_node_that_ends_meanwhile(launch: Any, tmp_path: Path) -> None:
    data, fifo = launch.home / "data", tmp_path / "fifo"
    node, _ = launch.node("--data", str(data))
    os.mkfifo(fifo)
    process = launch.start("add", "--from", str(fifo), "--data", str(data))
    with suppress(BrokenPipeError), fifo.open("w") as pipe:  # it may have noticed already
        pipe.writelines(f"key {number}\tvalue\n" for number in range(2_048))  # a batch
        pipe.flush()
        wait_until(lambda: status_of(launch, data)["values"] == 2_048)
        node.popen.kill()
        assert node.wait() == -signal.SIGKILL
        pipe.write("another\tvalue\n")
    assert process.wait() == 1
    assert re.fullmatch(r"stored [\d,]+ values\n", process.out.read_rest())
    assert "Error: " in process.err.read_rest()


def status_of(launch: Any, data: Path) -> Any:
    return json.loads(launch.run("status", "--json", "--data", str(data)).stdout)


def test_key_excludes_from(launch: Any, rows: str, failed: Any) -> None:
    for arguments in (("add", "key"), ("add", "key", "value"), ("find", "key")):
        assert "--from excludes KEY" in failed(launch.run(*arguments, "--from", rows), 2)
    assert "Missing argument 'KEY'" in failed(launch.run("find"), 2)


def test_interrupt(launch: Any, network: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = launch.start("add", "--from", str(fifo), "--via", network)
    with fifo.open("w") as pipe:
        pipe.write("key\tvalue\n")
        pipe.flush()
        process.popen.send_signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT
    assert process.out.read_rest() == "stored 0 values\n"  # it waits for a whole batch
    assert process.err.read_rest() == ""


def batches(content: bytes, *, has_values: bool = True, is_hex: bool = False) -> Any:
    return list(read_batches(io.BytesIO(content), has_values=has_values, is_hex=is_hex))


def test_lines() -> None:
    (batch,) = batches(b'a\tx\ty\r\n{"key": "b", "value": 5}\n\nlast\t')
    assert [(row.key.text, row.value) for row in batch.rows] == [
        ("a", "x\ty"),
        ("b", 5),
        ("last", ""),
    ]
    assert batch.rows[0].key.hex == sha1("a").hex()
    assert batch.position == 38


@pytest.mark.parametrize("line", [b"a\tx", b'{"key": "a", "value": "x"}'])
def test_byte_order_mark_is_no_part_of_the_first_key(line: bytes) -> None:
    (batch,) = batches(b"\xef\xbb\xbf" + line + b"\r\n")
    assert [(row.key.text, row.value) for row in batch.rows] == [("a", "x")]
    assert batch.position == len(line) + 5


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\tx", "a key must not be empty"),
        (b"\xff\tx", "codec can't decode"),
        (b'{"key": "a"}', "the field 'value' is missing"),
        (b'{"key": "a", "value": null}', "a value consists of"),
        (b'{"key": "a", "value": [', "no JSON"),
        (b'{"key": "a", "value": ' + b"[" * 5000 + b"]" * 5000 + b"}", "recursion|nested"),
        (b"a\t" + b"x" * 100_000, "a line has at most 98,304 bytes"),
    ],
)
def test_malformed_lines(line: bytes, reason: str) -> None:
    found = batches(b"good\tx\n" + line + b"\ngood\tx")
    assert sum(len(batch.rows) for batch in found) == 2
    (malformed,) = [each for batch in found for each in batch.malformed]
    assert malformed.number == 2
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(malformed.reason)


def test_keys_of_hex_digits() -> None:
    (batch,) = batches(sha1("a").hex().encode() + b"\nodd", has_values=False, is_hex=True)
    assert [row.key.hex for row in batch.rows] == [sha1("a").hex()]
    assert [each.number for each in batch.malformed] == [2]


def test_large_input_comes_in_batches() -> None:
    found = batches(b"key\tvalue\n" * 10_000)
    assert len(found) > 3
    assert sum(len(batch.rows) for batch in found) == 10_000
