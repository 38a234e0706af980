"""Both bridges have the operations of ``Node``, with the same signatures."""

import inspect

import pytest

import kademlua
from kademlua import AsyncNode, Node, ThreadedNode
from kademlua.bridges.base import BridgedNode

NOT_SHARED = {"calls_in_flight", "datastore", "healthy", "now", "table", "timings"}
"""Attributes of ``Node`` that only the node's thread may read."""
OWN = {"open_object"}
"""Operations whose results differ: the readers of threads and of asyncio."""

both = pytest.mark.parametrize("bridge", [ThreadedNode, AsyncNode])


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@both
def test_bridges_have_exactly_the_public_operations_of_node(bridge: type) -> None:
    assert public(bridge) == public(Node) - NOT_SHARED


@both
@pytest.mark.parametrize("name", sorted(public(Node) - NOT_SHARED - OWN))
def test_operations_are_defined_once_for_both_bridges(name: str, bridge: type) -> None:
    assert name not in vars(bridge)
    bridged, original = getattr(bridge, name), getattr(Node, name)
    assert bridged is getattr(BridgedNode, name)
    assert bridged.__doc__ == original.__doc__
    if isinstance(original, property):
        assert inspect.isdatadescriptor(bridged)
    else:
        assert inspect.signature(bridged) == inspect.signature(original)
        assert bridged.__name__ == name


@both
def test_bridges_have_the_constructor_of_node(bridge: type) -> None:
    assert inspect.signature(bridge) == inspect.signature(Node)
    with pytest.raises(ValueError, match="a port is"):
        bridge(port=-1)
    with pytest.raises(TypeError):
        bridge(colour="red")


@both
def test_state_is_readable_before_start(bridge: type) -> None:
    params = kademlua.Params(k=8)
    node = bridge(
        params=params, port=8001, host="192.0.2.1", options=kademlua.NodeOptions(id=b"i" * 20)
    )
    assert (node.id, node.params, node.joined) == (b"i" * 20, params, False)
    assert node.contact.endpoint == ("192.0.2.1", 8001)
    with pytest.raises(AttributeError, match="read-only"):
        node.id = bytes(20)


def test_package_has_no_other_lazy_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'GreenNode'"):
        kademlua.GreenNode  # noqa: B018
    assert set(kademlua.__all__) <= set(dir(kademlua)) | {"AsyncNode", "ThreadedNode"}
