"""Many keys over HTTP: lines of JSON in both directions."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from kademlua import sha1
from kademlua.http.object_transfers import MAX_TRANSFERS
from tests.http.conftest import TOKEN, HttpClient, Reply


def post(client: HttpClient, body: bytes, query: str = "") -> Reply:
    return client.request("POST", f"/v1/batch{query}", body, token=TOKEN)


def lines_of(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def results_of(reply: Reply) -> dict[int, dict[str, Any]]:
    """The results by line."""
    assert reply.status == 200, reply.body
    results = [json.loads(line) for line in reply.body.splitlines()]
    by_line = {result.pop("line"): result for result in results}
    assert len(by_line) == len(results)
    return by_line


def test_values_are_stored_and_found(client: HttpClient) -> None:
    rows = [{"key": f"key {number}", "value": number} for number in range(500)]
    stored = post(client, lines_of(rows))
    assert stored.headers["content-type"] == "application/jsonl"
    results = results_of(stored)
    assert results == {
        number + 1: {"key": sha1(f"key {number}").hex(), "nodes": 3, "error": None}
        for number in range(500)
    }
    found = results_of(post(client, lines_of(rows), "?operation=find&answers=1"))
    assert [found[number + 1]["answers"][0]["values"][0] for number in range(500)] == list(
        range(500)
    )
    assert found[1]["error"] is None


def test_published_values(client: HttpClient) -> None:
    node: Any = client.node  # type: ignore[attr-defined]
    rows = [{"key": "k", "value": "v"}]
    assert results_of(post(client, lines_of(rows), "?operation=publish&ttl=60"))[1]["nodes"] == 3
    [publication] = node.published()
    assert (publication.key, publication.ttl) == (sha1("k"), 60)


def test_errors_concern_one_line(client: HttpClient) -> None:
    body = lines_of(
        [
            {"key": "good", "value": 1},
            {"key": "large", "value": "x" * 20_000},
            {"key": "no value"},
            {"key": 5, "value": 1},
            [],
            {"key": "odd", "value": 1.5},
        ]
    )
    results = results_of(post(client, body + b"no JSON\n\n" + b'"' + b"x" * 200_000 + b'"\n{'))
    assert sorted(results) == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert results.pop(1)["error"] is None
    assert all(each["error"] for each in results.values())
    assert "15,000 bytes" in results[2]["error"]
    assert "98,304 bytes" in results[9]["error"]
    assert results_of(post(client, b"no JSON\n", "?operation=find"))[1]["error"]


def test_too_many_batches_at_the_same_time(client: HttpClient) -> None:
    head = f"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    connections = []
    for _ in range(MAX_TRANSFERS):
        connections.append(client.connect())
        connections[-1].sendall(f"{head}Content-Length: 10\r\n\r\n".encode())
    reply = wait_for_status(client, 503)
    assert reply.headers["retry-after"] == "5"
    for each in connections:
        each.close()
    wait_for_status(client, 200)


def wait_for_status(client: HttpClient, status: int) -> Reply:
    """Send batches until one has a status: the server learns later what sockets did."""
    with gevent.Timeout(10):
        while (reply := post(client, b"")).status != status:
            gevent.sleep(0.05)
    return reply


def test_malformed_lines_do_not_pile_up(client: HttpClient) -> None:
    """Their results come before the body ends."""
    with client.connect() as connection:
        head = f"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
        connection.sendall(b"x\n" * 40_000)
        received = b""
        while b'"line": 8000,' not in received:
            received += connection.recv(65_536)
    assert received.startswith(b"HTTP/1.1 200")


def test_hex_keys_and_repeated_keys(client: HttpClient) -> None:
    key = sha1("k").hex()
    rows = [{"key": key, "value": number} for number in range(3)] + [{"key": "zz", "value": 1}]
    results = results_of(post(client, lines_of(rows), "?hex=true&operation=overwrite"))
    assert [results[line]["error"] is None for line in (1, 2, 3, 4)] == [True, True, True, False]
    twice = lines_of([{"key": key}] * 2)
    found = results_of(post(client, twice, "?hex=true&operation=find&answers=1"))
    assert [found[line]["answers"][0]["values"][0] for line in (1, 2)] == [2, 2]


def test_empty_batch(client: HttpClient) -> None:
    assert results_of(post(client, b"")) == {}


@pytest.mark.parametrize(
    ("query", "status"), [("?operation=drop", 400), ("?ttl=0", 400), ("?ttl=99999999", 400)]
)
def test_invalid_parameters(client: HttpClient, query: str, status: int) -> None:
    assert post(client, b"", query).status == status


def test_a_batch_needs_the_token(client: HttpClient) -> None:
    assert client.request("POST", "/v1/batch", b"").status == 401
