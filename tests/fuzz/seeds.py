"""``python -m tests.fuzz.seeds``: write the seed corpora from valid packets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.wire import packets, replies, requests

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_APART = 7
KEY = b"k" * 20
V4 = Contact("192.0.2.7", 8003, b"v" * 20)
V6 = Contact("2001:db8::7", 8004, b"w" * 20)


def datagrams() -> Iterator[bytes]:
    """Some that the original recorded, and ours, requests and responses."""
    for path in sorted((ROOT / "tests" / "golden").glob("*.jsonl")):
        for row in list(map(json.loads, path.read_text().splitlines()))[::_APART]:
            yield bytes.fromhex(row["request"])
            if row["response"]:
                yield bytes.fromhex(row["response"])
    calls = {
        b"ping": b"",
        b"getsocket": b"",
        b"findnode": requests.encode_key_args(KEY),
        b"findvalue": requests.encode_findvalue_args(KEY, 4096),
        b"store": requests.encode_store_args(requests.StoreArguments(KEY, b"5:hello", 3600)),
        b"remove": requests.encode_remove_args(requests.RemoveArguments(KEY, 60)),
        b"leave": requests.encode_leave_args(is_handed_over=True),
        b"lacks": requests.encode_lacks_args(KEY, [V4, V6]),
    }
    for name, args in calls.items():
        for read_only in (False, True):
            payload = packets.encode_request_payload(name, args, read_only=read_only)
            yield packets.encode_request(b"s" * 20, b"rpc-id-8", payload)
    for reply in (
        replies.PONG,
        replies.STORE_OK,
        replies.encode_refused_reply("no room"),
        replies.encode_findnode_reply([V4, V6], 1),
        replies.encode_findvalue_reply([V4], [b"5:hello"], 1),
        replies.encode_findvalue_reply([V4], [b"5:hello"], 0),
        replies.encode_getsocket_reply("192.0.2.7", 8003),
    ):
        yield packets.encode_response(b"s" * 20, b"rpc-id-8", reply)
    yield packets.encode_error(b"s" * 20, b"rpc-id-8", packets.NO_SUCH_RPC)


LINES = [
    b'{"id": 1, "do": "stats"}',
    b'{"id": 2, "do": "find", "key": "%b"}' % KEY.hex().encode(),
    b'{"id": 3, "do": "add", "key": "%b", "value": "hello", "ttl": 60}' % KEY.hex().encode(),
    b'{"id": 4, "do": "stored"}\n{"id": 5, "do": "contacts"}',
    b'{"id": 6, "do": "ping", "address": "192.0.2.7", "port": 8003}',
]


def seeds() -> Iterator[tuple[str, bytes]]:
    for datagram in datagrams():
        yield "node", b"\x07" + datagram
        yield "bencoded", datagram
        yield "bencoded", datagram[32:]
    for line in LINES:
        yield "control", line + b"\n"
    yield "configuration", b"k = 20\nttl = 3600\noverwrite_drops_others = true\n"
    for path in sorted((ROOT / "swarm" / "scenarios").glob("*.toml")):
        yield "scenario", path.read_bytes()


def main() -> None:
    for target, data in seeds():
        directory = HERE / "corpus" / target
        directory.mkdir(parents=True, exist_ok=True)
        (directory / sha1(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()
