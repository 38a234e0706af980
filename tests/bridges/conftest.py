"""Fixtures: nodes in threads, and threads without gevent."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kademlua import ThreadedNode
from kademlua.core.contact import Endpoint
from tests.conftest import QUICK_PARAMS

LeakCounts = tuple[list[str], int]


@pytest.fixture
def make_threaded() -> Iterator[Callable[..., ThreadedNode]]:
    """Start nodes, wait for their first attempt to join, and close them after the test.

    ``params`` default to ``QUICK_PARAMS``.
    """
    nodes = []

    def make(**settings: Any) -> ThreadedNode:
        node = ThreadedNode(**{"params": QUICK_PARAMS} | settings)
        nodes.append(node)
        node.start()
        node.wait_joined()
        return node

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def first(make_threaded: Callable[..., ThreadedNode]) -> Endpoint:
    """The endpoint of a node, for bootstrapping others."""
    return make_threaded().contact.endpoint


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Any]]:
    """Run a function in a thread without a gevent hub, and return its result."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *args: pool.submit(function, *args).result(30)


@pytest.fixture
def leak_counts() -> Callable[[], LeakCounts]:
    """Return the names of the nodes' threads, and the number of open files."""

    def count() -> LeakCounts:
        threads = [each.name for each in threading.enumerate() if "kademlua" in each.name]
        return threads, len(os.listdir("/proc/self/fd"))

    return count
