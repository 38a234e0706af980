"""One definition: what ``Node`` does, both hosts do, with the same arguments."""

import inspect

import pytest

import kademlua
from kademlua import AsyncNode, Node, ThreadedNode
from kademlua.bridges.base import BridgedNode

NOT_SHARED = {"calls_in_flight", "datastore", "now", "table", "timings"}
"""What is of the node's thread, where no other may look while it changes."""

both = pytest.mark.parametrize("host", [ThreadedNode, AsyncNode])


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@both
def test_bridges_have_exactly_the_public_operations_of_node(host: type) -> None:
    assert public(host) == public(Node) - NOT_SHARED


@both
@pytest.mark.parametrize("name", sorted(public(Node) - NOT_SHARED))
def test_operations_are_defined_once_for_both_bridges(name: str, host: type) -> None:
    assert name not in vars(host)
    mine, theirs = getattr(host, name), getattr(Node, name)
    assert mine is getattr(BridgedNode, name)
    assert mine.__doc__ == theirs.__doc__
    assert isinstance(mine, property) == isinstance(theirs, property)
    if not isinstance(theirs, property):
        assert inspect.signature(mine) == inspect.signature(theirs)
        assert mine.__name__ == name


@both
def test_bridges_have_the_constructor_of_node(host: type) -> None:
    assert inspect.signature(host) == inspect.signature(Node)
    with pytest.raises(ValueError, match="a port is"):
        host(port=-1)
    with pytest.raises(TypeError):
        host(colour="red")


@both
def test_state_is_readable_before_start(host: type) -> None:
    params = kademlua.Params(k=8)
    node = host(
        params=params, port=8001, host="192.0.2.1", options=kademlua.NodeOptions(id=b"i" * 20)
    )
    assert (node.id, node.params, node.joined) == (b"i" * 20, params, False)
    assert node.contact.endpoint == ("192.0.2.1", 8001)


def test_package_has_no_other_lazy_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'GreenNode'"):
        kademlua.GreenNode  # noqa: B018
    assert set(kademlua.__all__) <= set(dir(kademlua)) | {"AsyncNode", "ThreadedNode"}
