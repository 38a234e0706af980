"""Access control: Host, Origin and the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.conftest import TOKEN


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7"]
)
def test_localhost_and_ip_addresses_are_accepted_in_host(client, host):
    assert client.get("/healthz", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "localhost.example.org", "127.0.0.1.example.org", "", "[", "@localhost:"],
)
def test_other_host_names_are_refused(client, host):
    refused = client.get("/v1/stats", Host=host)
    assert refused.status == 421
    assert "not known by the name" in refused.json["detail"]


def test_request_without_host_is_refused(client):
    reply = client.raw(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400 ")


def test_configured_host_name_is_accepted(make_node, serve):
    client = serve(make_node(), host_names=["node.example.org"])
    assert client.get("/healthz", Host="node.example.org:1").status == 200
    assert client.get("/healthz", Host="example.org").status == 421


def test_foreign_origin_is_refused(client):
    for origin in ("http://example.org", "null", "http://127.0.0.1:1", "file://"):
        refused = client.get("/v1/stats", Origin=origin, Host="127.0.0.1:8080")
        assert refused.status == 403
    own = client.get("/v1/stats", Origin="http://127.0.0.1:8080", Host="127.0.0.1:8080")
    assert own.status == 200
    assert "access-control-allow-origin" not in own.headers


def test_cross_site_request_is_refused(client):
    assert client.get("/v1/values/key", Sec_Fetch_Site="cross-site").status == 403
    assert client.get("/v1/stats", Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "NONSENSE"])
def test_methods_that_change_state_need_the_token(client, method):
    for path in ("/v1/values/key", "/v1/stats", "/nowhere"):
        refused = client.request(method, path)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert not len(client.node.datastore)


@pytest.mark.parametrize(
    "given",
    [TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
     "Bearer \xfc", f"Bearer {TOKEN.upper()}"],
)  # fmt: skip
def test_wrong_credentials_are_refused(client, given):
    assert client.request("POST", "/v1/values/key", b"x", Authorization=given).status == 401


def test_missing_and_wrong_tokens_are_told_apart_and_their_file_is_named(make_node, serve):
    client = serve(make_node(), token_file=Path("/run/http-token-8001"))
    missing = client.request("POST", "/v1/values/key", b"x").json["detail"]
    assert missing.startswith("this needs the token; it is in the file /run/http-token-8001")
    wrong = client.request("POST", "/v1/values/key", b"x", token="nonsense").json["detail"]
    assert wrong.startswith("the token is wrong; it is in the file /run/http-token-8001")
    exposed = serve(make_node(), host="0.0.0.0", token_file=Path("/home/me/http-token"))
    assert "the file http-token," in exposed.get("/v1/stats").json["detail"]


@pytest.mark.parametrize(
    ("token", "access"), [(None, "none"), ("nonsense", "wrong"), (TOKEN, "full")]
)
def test_node_tells_what_a_token_permits(client, token, access):
    found = client.request("GET", "/v1/node", token=token).json
    assert found["access"] == access
    assert found["node"]["port"] == client.node.contact.port
    assert found["limits"]["max_value_bytes"] == client.node.params.max_value_bytes


def test_bearer_scheme_is_case_insensitive(client):
    for word in ("Bearer", "bearer", "BEARER"):
        given = f"{word} {TOKEN}"
        assert client.request("POST", "/v1/values/key", b"x", Authorization=given).status == 200


def test_other_address_than_loopback_needs_the_token_for_all_but_public_paths(make_node, serve):
    client = serve(make_node(), host="0.0.0.0")
    paths = ("/metrics", "/v1/stats", "/v1/openapi.json", "/nowhere")
    for path in paths:
        assert client.get(path).status == 401
    assert [client.request("GET", path, token=TOKEN).status for path in paths] == [200] * 3 + [404]
    for path in ("/", "/page/main.js", "/healthz", "/readyz"):
        assert client.get(path).status == 200
    assert client.request("POST", "/healthz").status == 401
