import resource
import socket

import pytest

from kademlua.swarm import resource_limits
from kademlua.swarm.plan import Plan
from kademlua.swarm.resource_limits import ResourceLimitError
from tests.swarm.conftest import free_ports


class Resources:
    """Stands in for the system's limits."""

    def __init__(self, soft: int, hard: int, *, may_raise: bool = False) -> None:
        self.limit = (soft, hard)
        self._may_raise = may_raise

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.limit

    def setrlimit(self, _: int, wanted: tuple[int, int]) -> None:
        hard = self.limit[1]
        if wanted[1] > hard != resource.RLIM_INFINITY and not self._may_raise:
            raise ValueError("not allowed to raise maximum limit")
        self.limit = wanted


@pytest.mark.parametrize(
    ("resources", "after"),
    [
        (Resources(1_024, 4_096), (1_064, 4_096)),
        (Resources(2_000, 2_000), (2_000, 2_000)),
        (Resources(256, 512, may_raise=True), (1_064, 1_064)),
        (Resources(256, resource.RLIM_INFINITY), (1_064, resource.RLIM_INFINITY)),
        (Resources(resource.RLIM_INFINITY, resource.RLIM_INFINITY), (resource.RLIM_INFINITY,) * 2),
    ],
)
def test_open_file_limit_is_raised_as_needed(
    resources: Resources, after: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(resources, monkeypatch)
    resource_limits.raise_open_file_limit(Plan(node_count=2_000, worker_count=2))
    assert resources.limit == after


def test_too_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(Resources(256, 512), monkeypatch)
    with pytest.raises(ResourceLimitError) as raised:
        resource_limits.raise_open_file_limit(Plan(node_count=2_000, worker_count=2))
    assert str(raised.value) == (
        "2,000 nodes in 2 workers need 1,064 open files each, but the limit is 512,"
        " enough for 896 nodes; run `ulimit -n 1064`, or use more --workers"
    )


def test_suggested_node_count_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(Resources(256, 512), monkeypatch)
    resource_limits.raise_open_file_limit(Plan(node_count=896, worker_count=2))
    with pytest.raises(ResourceLimitError):
        resource_limits.raise_open_file_limit(Plan(node_count=897, worker_count=2))


def _stand_in(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", resources.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", resources.setrlimit)


def test_ports_in_use_are_named() -> None:
    first = free_ports(4)
    plan = Plan(node_count=4, worker_count=1, first_port=first)
    resource_limits.check_ports(plan)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", first + 2))
        with pytest.raises(ResourceLimitError, match=rf"^port {first + 2} of 127\.0\.0\.1: in use"):
            resource_limits.check_ports(plan)


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ResourceLimitError, match=r"can't listen on 192\.0\.2\.1"):
        resource_limits.check_ports(Plan(node_count=4, worker_count=1, host="192.0.2.1"))
    assert not resource_limits.is_local_address("192.0.2.1")
    assert resource_limits.is_local_address("127.0.0.1")


def test_processors() -> None:
    assert resource_limits.cpu_count() >= 1
