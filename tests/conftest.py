"""Settings and fixtures for all tests."""

import gc
import inspect
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from kademlua import ContactPool, Node, Params
from kademlua.runtime.transport import UdpTransport
from tests.support.peers import ScriptedPeer
from tests.support.world import World, node_arguments

# No example is timed; in CI every run tries the same examples.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

QUICK_PARAMS = Params(
    rpc_timeout=1, bootstrap_retry=0.05, bootstrap_retry_max=0.2, maintenance_interval=0.2
)
"""For tests in which something has to time out."""


def pytest_collection_finish() -> None:
    """Exempt all modules and tests from garbage collections, of which tests cause thousands, and
    from searches for remaining greenlets."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def world() -> World:
    """Virtual time and a virtual network; the test that asks for it runs in them."""
    return World()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that asks for ``world`` in it. Fixtures are made outside: what a test needs
    in its world, it makes by itself."""
    world = pyfuncitem.funcargs.get("world")
    if not isinstance(world, World):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    world.run(lambda: pyfuncitem.obj(**arguments))
    return True


# On real sockets and in real time.


@pytest.fixture
def make_node() -> Iterator[Callable[..., Node]]:
    """Make and start a node, closed at the end; ``params`` are quick ones by default."""
    nodes = []

    def make(**settings: object) -> Node:
        node = Node(**node_arguments({"params": QUICK_PARAMS} | settings))
        nodes.append(node)
        node.start()
        return node

    yield make
    for node in nodes:
        node.close(hand_over=False)


@pytest.fixture
def make_network(make_node: Callable[..., Node]) -> Callable[..., list[Node]]:
    """Make a network of so many nodes, all joined."""

    def make(count: int, **settings: object) -> list[Node]:
        settings = {"contact_pool": ContactPool(), "params": Params()} | settings
        first = make_node(**settings)
        others = [
            make_node(bootstrap=[first.contact.endpoint], **settings) for _ in range(count - 1)
        ]
        assert all(node.wait_joined(30) for node in others)
        return [first, *others]

    return make


@pytest.fixture
def make_peer() -> Iterator[Callable[..., ScriptedPeer]]:
    """Make a peer of which a test plays every byte, closed at the end."""
    peers = []

    def make(node_id: bytes | None = None, host: str = "127.0.0.1") -> ScriptedPeer:
        peers.append(ScriptedPeer(UdpTransport(host, 0, Params()), node_id or os.urandom(20)))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()
