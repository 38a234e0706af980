"""The OpenAPI document matches the routes and their replies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gevent
import msgspec
import pytest

from kademlua import sha1
from kademlua.http.openapi import build_document
from kademlua.http.routes import ROUTES, SWARM_ROUTES
from tests.http.conftest import TOKEN

_ST = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_every_path_is_described_and_replies_have_their_type(client):
    client.node.add(sha1("key"), b"value")
    client.node.publish(sha1("other"), b"value")
    keys = {"/v1/objects/{key}": client.node.put_object(b"content").hex()}
    paths = client.get("/v1/openapi.json").json["paths"]
    for route in ROUTES:
        described = paths[route.path][route.method.lower()]["responses"]
        if route.method != "GET" or route.path in ("/v1/events", "/v1/watch/{key}"):
            continue
        reply = client.get(route.path.replace("{key}", keys.get(route.path, "key")))
        assert reply.status == 200
        media_type = reply.headers["content-type"].partition(";")[0]
        assert media_type in described["200"]["content"]
        if media_type == "application/json":
            msgspec.convert(reply.json, route.reply)


def test_parameters_have_their_limits_and_defaults():
    document = build_document(ROUTES, allow_anonymous_reads=True)
    parameters = document["paths"]["/v1/values/{key}"]["get"]["parameters"]
    by_name = {each["name"]: each for each in parameters}
    assert by_name["key"]["in"] == "path"
    assert by_name["answers"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 20,
        "default": 3,
    }
    assert all(each["description"] for each in parameters)


def test_operations_that_need_the_token_are_marked():
    def public_operations(*, allow_anonymous_reads: bool) -> set[str]:
        document = build_document(ROUTES, allow_anonymous_reads=allow_anonymous_reads)
        return {
            f"{method} {path}"
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if "security" not in operation
        }

    assert public_operations(allow_anonymous_reads=False) == {"get /healthz", "get /readyz"}
    public = public_operations(allow_anonymous_reads=True)
    assert all(each.startswith("get ") for each in public)


def test_references_name_existing_schemas():
    document = build_document([*ROUTES, *SWARM_ROUTES], allow_anonymous_reads=True)
    schemas = document["components"]["schemas"]
    references = str(document).split("#/components/schemas/")[1:]
    assert {each.partition("'")[0] for each in references} <= schemas.keys()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(_ST is None, reason="schemathesis is not installed")
def test_schemathesis_finds_no_defect(client, tmp_path):
    """Hundreds of requests generated from the document, against a running node."""
    client.node.add(sha1("0"), b"value")
    assert _ST is not None
    url = f"http://127.0.0.1:{client.port}/v1/openapi.json"
    command = [_ST, "run", url, "-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "50"]
    # Schemathesis would wait for the end of the event stream.
    command += ["--exclude-path", "/v1/events", "--exclude-path", "/v1/watch/{key}"]
    command += ["--request-timeout", "20"]
    with (tmp_path / "report").open("w") as report:
        process = subprocess.Popen(command, stdout=report, stderr=report, cwd=tmp_path)
        try:
            while process.poll() is None:
                gevent.sleep(0.1)
        finally:
            process.kill()
    assert process.returncode == 0, (tmp_path / "report").read_text()[-8_000:]
