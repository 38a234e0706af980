"""The header ``Kademlua-Secret``: secret values over HTTP."""

from __future__ import annotations

import gevent
import pytest

pytest.importorskip("cryptography", reason="of the extra crypto")

import falcon
from falcon import testing

from kademlua import Secret, sha1
from kademlua.http.routes import ROUTES
from kademlua.http.secret_header import read_secret
from tests.http.conftest import TOKEN

SECRET, OTHER = Secret(b"s" * 32), Secret(b"o" * 32)
MINE, NOT_MINE = {"Kademlua_Secret": (b"s" * 32).hex()}, {"Kademlua_Secret": (b"o" * 32).hex()}
KEY = sha1("treasure")
BLINDED = SECRET.blind_key(KEY)


def store(client, method, path, body):
    return client.request(method, path, body, token=TOKEN, Content_Type="text/plain", **MINE)


def test_value_is_added_found_and_removed(client):
    added = store(client, "POST", "/v1/values/treasure", b"under the oak")
    assert (added.status, added.json["key"]) == (200, KEY.hex())
    found = client.get("/v1/values/treasure?answers=1", **MINE)
    assert [each["values"] for each in found.json["answers"]] == [["under the oak"]]
    assert (found.json["key"], found.headers["cache-control"]) == (KEY.hex(), "no-store")
    as_bytes = client.get("/v1/values/treasure", Accept="application/octet-stream", **MINE)
    assert as_bytes.body == b"under the oak"
    assert client.nodes[0].secret(SECRET).find_value(KEY, 1)[0].values == [b"under the oak"]
    for headers in ({}, NOT_MINE):
        assert client.get("/v1/values/treasure", **headers).status == 404
        removed = client.request("DELETE", "/v1/values/treasure", token=TOKEN, **headers)
        assert removed.status == 404
    assert client.request("DELETE", "/v1/values/treasure", token=TOKEN, **MINE).status == 200
    assert client.get("/v1/values/treasure", **MINE).status == 404


def test_values_of_others_are_not_shown(client):
    client.node.add(BLINDED, b"forged")
    assert client.get("/v1/values/treasure", **MINE).status == 404


def test_value_is_published(client):
    assert store(client, "PUT", "/v1/published/treasure", b"here").json["key"] == KEY.hex()
    [published] = client.get("/v1/published").json["published"]
    assert published["key"] == BLINDED.hex()
    assert "here" not in published["value"]
    for headers, status in (({}, 404), (MINE, 204), (MINE, 404)):
        ended = client.request("DELETE", "/v1/published/treasure", token=TOKEN, **headers)
        assert ended.status == status


def test_object_is_stored_read_published_and_unpublished(client):
    content = b"meet me under the oak " * 2_000
    reply = client.request("POST", "/v1/objects?publish=true", content, token=TOKEN, **MINE)
    assert reply.status == 200
    path = f"/v1/objects/{reply.json['key']}"
    found = client.get(path, **MINE)
    assert (found.body, found.headers["cache-control"]) == (content, "no-store")
    part = client.get(path, Range="bytes=20000-20009", **MINE)
    assert (part.status, part.body) == (206, content[20_000:20_010])
    for headers in ({}, NOT_MINE):
        refused = client.get(path, **headers)
        assert refused.status == 502
        assert b"oak" not in refused.body
        assert client.get("/v1/objects", **headers).json == {"objects": []}
        assert client.request("DELETE", path, token=TOKEN, **headers).status == 404
    [listed] = client.get("/v1/objects", **MINE).json["objects"]
    assert (listed["key"], listed["size"]) == (reply.json["key"], len(content))
    assert client.request("DELETE", path, token=TOKEN, **MINE).status == 204
    assert client.get("/v1/objects", **MINE).json == {"objects": []}


def test_watch_shows_opened_values(client):
    client.nodes[0].add(BLINDED, b"forged")
    client.node.secret(SECRET).add(KEY, b"under the oak")
    head = f"Host: localhost\r\nKademlua-Secret: {MINE['Kademlua_Secret']}\r\n\r\n"
    with client.connect() as sock, gevent.Timeout(10):
        sock.sendall(b"GET /v1/watch/treasure HTTP/1.1\r\n" + head.encode())
        text = b""
        while b"event: added\n" not in text:
            text += sock.recv(65_536)
    assert b"under the oak" in text
    assert b"forged" not in text


def test_too_large_a_value_states_the_limit(client):
    refused = store(client, "POST", "/v1/values/treasure", b"x" * 14_900)
    assert refused.status == 413
    assert refused.json["detail"].startswith("a secret value has at most 14,")


def test_other_requests_take_no_secret(client):
    """A client that believes them secret must not store what anyone can read."""
    for route in ROUTES:
        if not route.takes_secret:
            path = route.path.replace("{key}", KEY.hex())
            refused = client.request(route.method, path, b"x", token=TOKEN, **MINE)
            assert refused.status == 400
            assert refused.json["detail"] == "this request takes no secret"


@pytest.mark.parametrize("digits", ["", "s" * 64, "0" * 63, "0" * 65, f"secret {'0' * 64}"])
def test_malformed_secret_is_refused(client, digits):
    refused = client.get("/v1/values/treasure", Kademlua_Secret=digits)
    assert refused.status == 400
    assert refused.json["detail"] == "Kademlua-Secret has 64 hex digits"


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "Via", "X_Forwarded_For", "X_Forwarded_Host", "X_Forwarded_Proto", "X_Real_IP"],
)
def test_proxied_secret_is_refused(client, header):
    refused = client.get("/v1/values/treasure", **MINE, **{header: ""})
    assert refused.status == 403
    assert "from this machine only, and not through a proxy" in refused.json["detail"]
    assert MINE["Kademlua_Secret"] not in refused.body.decode()


@pytest.mark.parametrize(
    ("address", "is_accepted"),
    [
        ("127.0.0.1", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
        ("fe80::1%eth0", False),
        ("::", False),
    ],
)
def test_secret_is_accepted_from_this_machine_only(address, is_accepted):
    headers = {"Kademlua-Secret": MINE["Kademlua_Secret"]}
    request = testing.create_req(headers=headers, remote_addr=address)
    if is_accepted:
        secret = read_secret(request)
        assert secret is not None
        assert secret.fingerprint == SECRET.fingerprint
    else:
        with pytest.raises(falcon.HTTPForbidden):
            read_secret(request)


def test_request_without_the_header_has_no_secret():
    assert read_secret(testing.create_req(remote_addr="192.0.2.7")) is None


def test_document_describes_the_header(client):
    paths = client.get("/v1/openapi.json").json["paths"]
    described = {
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if any(each["name"] == "Kademlua-Secret" for each in operation["parameters"])
    }
    assert described == {each.target for each in ROUTES if each.takes_secret}
    assert len(described) == 10
