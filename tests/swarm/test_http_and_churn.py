"""``kademlua swarm --http`` and ``--churn``, as processes."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from tests.swarm.conftest import SwarmProcess, eventually

pytest.importorskip("falcon", reason="of the extra http")

Launch = Callable[..., SwarmProcess]


def get(swarm: SwarmProcess, path: str) -> Any:
    url = re.search(r"^(http://\S+)/#token=\S+ \(token in \S+\)$", swarm.err, re.MULTILINE)
    assert url is not None
    apply = gevent.get_hub().threadpool.apply
    with apply(urllib.request.urlopen, (url[1] + path, None, 20)) as reply:
        return json.loads(reply.read())


def test_churn_runs_in_swarm(launch_joined: Launch) -> None:
    swarm = launch_joined(12, "--workers", "2", "--http", "127.0.0.1:0", "--churn", "1s")
    first = {each["port"] for each in get(swarm, "/v1/swarm")["nodes"]}
    assert swarm.control_port in first

    def has_churned() -> bool:
        logs = list(swarm.log_dir.glob("2*.log")) + list(swarm.log_dir.glob("3*.log"))
        return sum(path.read_text().count(" on port ") for path in logs) > 2 * 12

    assert eventually(has_churned)
    assert len(get(swarm, "/v1/swarm")["nodes"]) > 4
    assert not any(path.stat().st_size for path in swarm.log_dir.glob("worker-*.log"))
    swarm.popen.send_signal(signal.SIGINT)
    assert swarm.wait() == 0
    assert "Traceback" not in swarm.err


def test_data_of_killed_nodes_is_kept(launch_joined: Launch) -> None:
    """A restarted node uses its own directory, which must be unlocked."""
    pytest.importorskip("lmdb", reason="of the extra disk")
    swarm = launch_joined(4, "--workers", "1", "--data", "data", "--churn", "1s")
    log = swarm.log_dir / f"{swarm.first_port}.log"
    assert eventually(lambda: log.read_text().count("kademlua.node: joined") > 1)
    assert not any(path.stat().st_size for path in swarm.log_dir.glob("worker-*.log"))


def test_occupied_http_port_is_reported(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        swarm = launch(2, "--http", address)
        assert swarm.wait() == 1
    assert swarm.err.splitlines()[1:] == [
        f"Error: can't listen on {address}: Address already in use"
    ]
    assert swarm.out == ""


@pytest.mark.parametrize("wrong", [("--http-name", "here"), ("--churn", "soon")])
def test_wrong_use(launch: Launch, wrong: tuple[str, str]) -> None:
    assert launch(1, *wrong).wait() == 2
