"""The description of the API is true."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gevent
import pytest

from kademlua import Params, sha1
from kademlua.http.openapi.document import build_document
from tests.http.conftest import TOKEN

_ST = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_every_path_is_described_and_answers(client):
    client.node.add(sha1("key"), b"value")
    described = client.get("/v1/openapi.json").json
    assert described == build_document(Params(), allow_anonymous_reads=True)
    for path, operations in described["paths"].items():
        if path == "/v1/events":
            continue
        if "get" not in operations:
            continue
        reply = client.get(path.replace("{key}", "key"))
        assert reply.status == 200
        kinds = operations["get"]["responses"]["200"]["content"]
        assert reply.headers["content-type"].partition(";")[0] in kinds


def test_what_takes_the_token_says_so():
    def unlocked(*, is_open: bool) -> set[str]:
        return {
            f"{method} {path}"
            for path, operations in build_document(Params(), allow_anonymous_reads=is_open)[
                "paths"
            ].items()
            for method, operation in operations.items()
            if method != "parameters" and "security" not in operation
        }

    assert unlocked(is_open=False) == {"get /healthz", "get /readyz"}
    assert all(each.startswith("get ") for each in unlocked(is_open=True))


def test_references_lead_somewhere():
    described = build_document(Params(), allow_anonymous_reads=True)
    schemas = described["components"]["schemas"]
    text = str(described)
    for part in text.split("#/components/schemas/")[1:]:
        assert part.partition("'")[0] in schemas


def test_a_swarm_has_more_paths():
    more = build_document(Params(), allow_anonymous_reads=True, swarm=True)["paths"]
    alone = build_document(Params(), allow_anonymous_reads=True)["paths"]
    swarm = {"/v1/swarm", "/v1/swarm/events", "/v1/swarm/kill", "/v1/swarm/join"}
    assert more.keys() - alone.keys() == swarm
    assert "security" in more["/v1/swarm/kill"]["post"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(_ST is None, reason="schemathesis is not installed")
def test_schemathesis_finds_nothing(client, tmp_path):
    """Hundreds of requests made from the description, against a running node."""
    client.node.add(sha1("0"), b"value")
    assert _ST is not None
    url = f"http://127.0.0.1:{client.port}/v1/openapi.json"
    command = [_ST, "run", url, "-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "50"]
    # A stream of events has no end, which it would wait for.
    command += ["--exclude-path", "/v1/events", "--request-timeout", "20"]
    with (tmp_path / "report").open("w") as report:
        process = subprocess.Popen(command, stdout=report, stderr=report, cwd=tmp_path)
        while process.poll() is None:
            gevent.sleep(0.1)
    assert process.returncode == 0, (tmp_path / "report").read_text()[-8_000:]
