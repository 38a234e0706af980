"""Requests that load a node, and its neighbours meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from kademlua.bench import VALUE_BYTES
from kademlua.core.ids import ID_BITS, ID_BYTES
from kademlua.core.wire import packets, replies, requests

RPCS = ("ping", "store", "findnode", "findvalue")
"""The stores come first, so that findvalue asks for what is there."""
VERSIONS = ("1.0", "1.1")
CONTACTS = 100
_BY_BUCKET = 20
ASKER = CONTACTS // 2
"""The neighbour who asks is one of the middle bucket: of half of all keys the first bucket
would be the nearest, and so too often the one in which the asker is left out."""


def requests_for(
    rpc: str, version: str, sender: bytes, keys: Sequence[bytes], rng: random.Random
) -> Iterator[bytes]:
    """A request for each key, in the form of a version; findnode asks for random ids."""
    for key in keys:
        target = key if rpc != "findnode" else rng.randbytes(ID_BYTES)
        payload = _payload(rpc, version, target, rng.randbytes(VALUE_BYTES))
        yield packets.encode_request(sender, rng.randbytes(8), payload)


def _payload(rpc: str, version: str, key: bytes, raw_value: bytes) -> bytes:
    name, value = rpc.encode(), replies.encode_value(raw_value)
    if version == "1.0":  # the original's order of keys, its arguments and nothing else
        behind = {"store": value, "findvalue": b"i6e"}.get(rpc, b"")
        args = b"20:%b%b" % (key, behind) if rpc != "ping" else b""
        return b"d4:name%d:%b4:argsl%bee" % (len(name), name, args)
    args = {
        "ping": b"",
        "store": requests.encode_store_args(requests.StoreArguments(key, value, 86_400)),
        "findnode": requests.encode_key_args(key),
        "findvalue": requests.encode_findvalue_args(key, 4096),
    }[rpc]
    return packets.encode_request_payload(name, args, read_only=False)


def neighbour_ids(node_id: bytes, rng: random.Random) -> list[bytes]:
    """Ids that all find room in a node's table: as many in each bucket as it takes. Random
    ones would crowd the first bucket."""
    return [
        _sharing(node_id, bits, rng)
        for bits in range(CONTACTS // _BY_BUCKET)
        for _ in range(_BY_BUCKET)
    ]


def _sharing(node_id: bytes, bits: int, rng: random.Random) -> bytes:
    """A random id that shares so many leading bits with another, and not the next one."""
    rest = ID_BITS - bits - 1
    differing = 1 << rest | rng.getrandbits(rest)
    return (int.from_bytes(node_id, "big") ^ differing).to_bytes(ID_BYTES, "big")
