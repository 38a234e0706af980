"""Objects over HTTP: streamed in both directions, and read in ranges."""

from __future__ import annotations

import random
import socket

import gevent
import pytest

from kademlua import Params, sha1
from kademlua.core.wire import bencoding
from tests.http.conftest import TOKEN, HttpClient, Reply

CONTENT = random.Random(6).randbytes(1_000_000)


def post(client: HttpClient, body: bytes, query: str = "") -> Reply:
    return client.request("POST", f"/v1/objects{query}", body, token=TOKEN)


def stored(client: HttpClient) -> str:
    reply = post(client, CONTENT)
    assert reply.status == 200, reply.body
    key: str = reply.json["key"]
    return f"/v1/objects/{key}"


def test_object_is_stored_and_read(client):
    reply = post(client, CONTENT)
    assert reply.status == 200
    key = reply.json.pop("key")
    assert client.node.open_object(bytes.fromhex(key)).read() == CONTENT
    assert reply.json["size"] == len(CONTENT)
    assert reply.json["fewest_replicas"] == 3
    assert (reply.json["blocks"], reply.json["found_blocks"]) == (71, 0)
    found = client.get(f"/v1/objects/{key}")
    assert (found.status, found.body) == (200, CONTENT)
    assert found.headers["content-length"] == str(len(CONTENT))
    assert found.headers["accept-ranges"] == "bytes"
    assert found.headers["etag"] == f'"{key}"'
    assert found.headers["content-disposition"] == "attachment"
    assert "immutable" in found.headers["cache-control"]
    again = post(client, CONTENT + b"more", "?resume=true&ttl=60").json
    assert (again["blocks"], again["found_blocks"]) == (2, 69)


def test_error_is_not_cached(client):
    """Another node may have the object a moment later, or it takes a secret."""
    value = client.node.put_immutable(b"no object").key
    for key, status in ((bytes(20), 404), (value, 502)):
        reply = client.get(f"/v1/objects/{key.hex()}", If_None_Match="*")
        assert reply.status == status
        assert not {"etag", "cache-control"} & reply.headers.keys()


@pytest.mark.parametrize("size", [0, 1, 14_336, 14_337])
def test_small_objects(client, size):
    key = post(client, CONTENT[:size]).json["key"]
    found = client.get(f"/v1/objects/{key}")
    assert (found.status, found.body) == (200, CONTENT[:size])


@pytest.mark.parametrize(
    ("requested", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-14335", 0, 14_336),
        ("bytes=14000-15000", 14_000, 15_001),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=500000-2000000", 500_000, 1_000_000),
        ("bytes=-10", 999_990, 1_000_000),
    ],
)
def test_range(client, requested, start, end):
    found = client.get(stored(client), Range=requested)
    assert found.status == 206
    assert found.headers["content-range"] == f"bytes {start}-{end - 1}/1000000"
    assert found.body == CONTENT[start:end]


@pytest.mark.parametrize("requested", ["bytes=1000000-", "bytes=2000000-3000000"])
def test_range_after_the_end(client, requested):
    found = client.get(stored(client), Range=requested)
    assert found.status == 416
    assert found.headers["content-range"] == "bytes */1000000"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-1,5-6"},
        {"Range": "nonsense"},
        {"Range": "bytes=0-1", "If_Range": '"another"'},
        {"Range": "bytes=-2000000"},
    ],
)
def test_ranges_that_mean_the_whole(client, headers):
    found = client.get(stored(client), **headers)
    assert (found.status, found.body) == (200, CONTENT)


def test_conditions(client):
    path = stored(client)
    etag = f'"{path[-40:]}"'
    assert client.get(path, If_None_Match=etag).status == 304
    assert client.get(path, If_None_Match="*").status == 304
    assert client.get(path, If_None_Match='"another"').status == 200
    assert client.get(path, Range="bytes=0-1", If_Range=etag).body == CONTENT[:2]
    assert client.get(path, If_None_Match="*").status == 304
    assert client.get(f"/v1/objects/{'00' * 20}", If_None_Match="*").status == 404


def test_head(client):
    found = client.request("HEAD", stored(client))
    assert (found.status, found.body) == (200, b"")
    assert found.headers["content-length"] == str(len(CONTENT))
    found = client.request("HEAD", stored(client), Range="bytes=1-2")
    assert (found.status, found.headers["content-length"]) == (200, str(len(CONTENT)))


def test_no_object(client):
    found = client.get(f"/v1/objects/{'00' * 20}")
    assert found.status == 404
    assert found.json["detail"] == f"no node has an object {'00' * 20}"
    assert client.get("/v1/objects/short").status == 404
    client.node.put_immutable(b"hello")
    assert client.get(f"/v1/objects/{sha1(b'5:hello').hex()}").status == 502


def test_missing_block(client):
    path = stored(client)
    block = sha1(bencoding.encode(CONTENT[50 * 14_336 : 51 * 14_336]))
    for node in client.nodes:
        for owner in node.datastore.owners(block):
            node.datastore.remove(block, owner)
    assert client.get(path, Range="bytes=0-99").body == CONTENT[:100]
    found = client.get(path, Range=f"bytes={50 * 14_336}-")
    assert found.status == 502
    assert "which holds byte 716,800" in found.json["detail"]
    with client.connect() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = b"".join(iter(lambda: sock.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert body == CONTENT[: len(body)]  # it is cut short
    assert len(body) < len(CONTENT)


def test_published_objects(client):
    key = post(client, CONTENT, "?publish=true&ttl=3600").json["key"]
    row = {"key": key, "size": len(CONTENT), "ttl": 3_600}
    assert client.get("/v1/objects").json == {"objects": [row]}
    assert client.get("/v1/published").json == {"published": [], "next": None}
    path = f"/v1/objects/{key}"
    assert client.request("DELETE", path, token=TOKEN).status == 204
    assert client.request("DELETE", path, token=TOKEN).status == 404
    assert client.get("/v1/objects").json == {"objects": []}
    assert client.get(path).body == CONTENT


# Bodies.


def test_body_without_a_token_is_not_read(client):
    refused = client.request("POST", "/v1/objects", CONTENT)
    assert refused.status == 401
    with client.connect() as sock:
        sock.sendall(
            b"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        received = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 401")


def test_body_without_a_length(client):
    head = b"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n%b\r\n"
    for field in (b"", b"Transfer-Encoding: chunked\r\n"):
        request = head % (TOKEN.encode(), field + b"Connection: close\r\n")
        assert client.raw(request).startswith(b"HTTP/1.1 411")


def test_body_that_ends_early(client):
    before = len(client.node.datastore)
    with client.connect() as sock:
        sock.sendall(
            b"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Authorization: Bearer %b\r\n\r\nthe start" % TOKEN.encode()
        )
    gevent.sleep(0.1)
    assert len(client.node.datastore) == before
    assert client.get("/healthz").status == 200


def test_body_that_ends_early_is_the_fault_of_the_client(client, caplog):
    with client.connect() as sock:
        sock.sendall(
            b"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Authorization: Bearer %b\r\n\r\nthe start" % TOKEN.encode()
        )
        sock.shutdown(socket.SHUT_WR)
        reply = sock.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"the body ended early" in reply
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_connection_lasts_after_a_streamed_body(client):
    request = (
        b"POST /v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Authorization: Bearer %b\r\nExpect: 100-continue\r\n\r\n" % TOKEN.encode()
    )
    with client.connect() as sock:
        file = sock.makefile("rb")
        for _ in range(2):
            sock.sendall(request)
            assert file.readline() == b"HTTP/1.1 100 Continue\r\n"
            sock.sendall(b"hello")
            file.readline()
            head = dict(
                line.split(b": ", 1) for line in iter(file.readline, b"\r\n") if b": " in line
            )
            assert len(file.read(int(head[b"content-length"]))) > 100


def test_other_bodies_are_limited_still(client):
    assert client.request("POST", "/v1/values/key", bytes(200_000), token=TOKEN).status == 413


def test_wrong_ttl(client):
    wrong = post(client, b"x", "?ttl=999999999")
    assert wrong.status == 400
    assert "a TTL is" in wrong.json["detail"]


def test_refused_object(make_network, serve):
    client = serve(make_network(3, params=Params(max_stored_bytes=160_000))[0])
    refused = post(client, CONTENT)
    assert refused.status == 502
    assert "blocks were stored, then no node stored the value" in refused.json["detail"]
    assert "no room for more bytes" in refused.json["detail"]


def test_transfers_are_limited(client):
    # More than fits into the buffers of a connection.
    path = f"/v1/objects/{post(client, bytes(30_000_000)).json['key']}"
    reading = [client.connect() for _ in range(16)]
    for sock in reading:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
    assert client.get(path).status == 503
    assert client.request("HEAD", path).status == 200
    for sock in reading:
        sock.close()
