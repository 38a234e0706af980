from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import sha1
from kademlua.swarm.plan import (
    Plan,
    PlanError,
    WorkerCommand,
    WorkerReport,
    control_endpoint,
    encode_line,
    format_ports,
    node_id,
)

COUNTS = st.integers(1, 20_000)
WORKERS = st.integers(1, 64)
PORTS = st.integers(8_003, 40_000)


@given(COUNTS, WORKERS, PORTS)
def test_every_port_is_in_one_share_and_shares_are_even(
    count: int, workers: int, first: int
) -> None:
    plan = Plan(node_count=count, worker_count=workers, first_port=first)
    shares = plan.worker_ports
    assert [port for share in shares for port in share] == list(plan.ports)
    assert len(plan.ports) == count
    assert len(shares) == min(workers, count)
    sizes = [len(share) for share in shares]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


def test_ids_are_the_hashes_of_ports() -> None:
    assert node_id(8003) == sha1("8003")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"node_count": 0}, "needs at least one node"),
        ({"worker_count": 0}, "needs at least one node"),
        ({"first_port": 0}, "needs at least one node"),
        ({"first_port": 65_500, "node_count": 37}, "exceed port 65,535: 36 fit"),
        ({"host": "nowhere"}, "not an IP address"),
        ({"bootstrap": ("nowhere", 1)}, "not an IP address"),
        ({"bootstrap": ("::1", 8001)}, "one is IPv4, the other IPv6"),
        ({"host": "::1"}, "one is IPv4, the other IPv6"),
        ({"bootstrap": ("127.0.0.1", 8005)}, "port 8005 of the bootstrap address"),
        ({"host": "0.0.0.0", "bootstrap": ("127.0.0.1", 8003)}, "port 8003"),
    ],
)
def test_impossible_plan_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan(**{"node_count": 10, "worker_count": 2} | changes)  # type: ignore[arg-type]


def test_plan_up_to_last_port_is_accepted() -> None:
    assert Plan(node_count=36, worker_count=1, first_port=65_500).ports[-1] == 65_535
    Plan(node_count=10, worker_count=1, host="::", bootstrap=("127.0.0.1", 8001))
    Plan(node_count=10, worker_count=1, host="127.0.0.1", bootstrap=("127.0.0.2", 8003))


@pytest.mark.parametrize(
    ("host", "addr"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1")],
)
def test_default_control_endpoint(host: str, addr: str) -> None:
    assert control_endpoint(host) == (addr, 8001)


@given(COUNTS, PORTS, st.text(), st.lists(st.binary(min_size=32, max_size=32)))
def test_plan_of_worker_is_one_line(
    count: int, first: int, log_dir: str, keys: list[bytes]
) -> None:
    plan = Plan(
        node_count=count,
        worker_count=1,
        first_port=first,
        log_dir=log_dir,
        network_keys=tuple(keys),
    )
    assert parse_one_line(plan) == plan
    assert "network_keys" not in repr(plan)


@given(COUNTS, st.text())
def test_worker_report_is_one_line(joined: int, error: str) -> None:
    events = [("node-joined", {"port": joined}), (error, {})]
    report = WorkerReport(
        joined_count=joined, error=error, events=events, totals={"values": joined}
    )
    assert parse_one_line(report) == report


@given(st.sampled_from(["kill", "join", "watch", "unwatch"]), PORTS)
def test_worker_command_is_one_line(action: Any, port: int) -> None:
    command = WorkerCommand(action=action, port=port)
    assert parse_one_line(command) == command


def parse_one_line(message: Plan | WorkerReport | WorkerCommand) -> object:
    """Encode a message, and return what its type parses from the line."""
    line = encode_line(message)
    assert line.index(b"\n") == len(line) - 1
    return type(message).from_line(line)


def test_ports_in_words() -> None:
    assert format_ports([1]) == "port 1"
    assert format_ports([1, 2, 3]) == "ports 1, 2, 3"
    assert format_ports(range(1, 10)) == "ports 1, 2, 3 and 6 more"
