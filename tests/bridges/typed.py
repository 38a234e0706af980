"""The types that mypy must infer for the bridges' operations. This file is checked, not run."""

from collections.abc import Coroutine
from typing import Any, assert_type

from kademlua import (
    Answer,
    AsyncNode,
    Contact,
    Node,
    ObjectReader,
    Params,
    StoreReport,
    ThreadedNode,
)
from kademlua.bridges.object_readers import AsyncObjectReader, ThreadedObjectReader


def blocking(node: ThreadedNode, key: bytes) -> None:
    assert_type(node.add(key, b"value"), StoreReport)
    assert_type(node.find_value(key, max_nodes=1), list[Answer])
    assert_type(node.find_node(key), list[Contact])
    assert_type(node.wait_joined(1.5), bool)
    assert_type(node.id, bytes)
    assert_type(node.reachable, bool | None)
    assert_type(node.contact, Contact)
    assert_type(node.put_object(b"content", ttl=60), bytes)
    assert_type(node.open_object(key), ThreadedObjectReader)
    assert_type(node.secret(key).put_object(b"content"), bytes)
    with ThreadedNode(8001, bootstrap=[("127.0.0.1", 8001)], params=Params()) as other:
        assert_type(other, ThreadedNode)
    node.find_value("key")  # type: ignore[arg-type]
    node.add(key)  # type: ignore[call-arg]
    ThreadedNode(port="8001")  # type: ignore[arg-type]


async def awaited(node: AsyncNode, key: bytes) -> None:
    assert_type(await node.add(key, b"value"), StoreReport)
    assert_type(await node.find_value(key, max_nodes=1), list[Answer])
    assert_type(await node.put_object(b"content"), bytes)
    assert_type(await node.open_object(key), AsyncObjectReader)
    assert_type(await node.secret(key).put_object(b"content"), bytes)
    finding = assert_type(node.find_node(key), Coroutine[Any, Any, list[Contact]])
    await finding
    assert_type(node.joined, bool)
    async with AsyncNode(read_only=True) as other:
        assert_type(other, AsyncNode)
    await node.find_value("key")  # type: ignore[arg-type]
    await node.add(key)  # type: ignore[call-arg]
    len(node.find_value(key))  # type: ignore[arg-type]


def on_gevent(node: Node, key: bytes) -> None:
    assert_type(node.open_object(key), ObjectReader)
    assert_type(node.secret(key).open_object(key), ObjectReader)
    assert_type(node.add(key, b"value"), StoreReport)
