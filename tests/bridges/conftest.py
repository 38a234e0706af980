"""Nodes in threads, and threads in which nothing of gevent is at work."""

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
    """Make and start a node, and wait for its first try to join; closed at the end. ``params``
    are quick ones by default."""
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
    """Where others may join."""
    return make_threaded().contact.endpoint


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Any]]:
    """Run a function in a thread without a hub (the tests' own may have one); its result."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *args: pool.submit(function, *args).result(30)


@pytest.fixture
def left() -> Callable[[], LeakCounts]:
    """Count what a closed node must not leave: threads by name, and open files."""

    def count() -> LeakCounts:
        threads = [each.name for each in threading.enumerate() if "kademlua" in each.name]
        return threads, len(os.listdir("/proc/self/fd"))

    return count
