"""What a node knows, to look at: contacts, stored values, counters; and lookups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import falcon
import gevent

from kademlua.core.json_codec import contact_json
from kademlua.http.pagination import AT_ONCE, MAX_LISTED, after, first_keys, number
from kademlua.http.value_codec import key_of
from kademlua.node.node import Node


class Lookup:
    """The contacts closest to a key."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Look them up in the network, the nearest first."""
        target = key_of(req, "/v1/lookup/")
        began = self._node.now
        found = self._node.find_node(target)
        resp.data = json.dumps(
            {
                "target": target.hex(),
                "seconds": round(self._node.now - began, 6),
                "contacts": [contact_json(contact) for contact in found],
            }
        ).encode()

    on_head = on_get


class Contacts:
    """The routing table."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All contacts, bucket by bucket, the farthest first."""
        resp.data = json.dumps(
            {
                "node": contact_json(self._node.contact),
                "buckets": [
                    {
                        "index": index,
                        "contacts": contacts,
                        "waiting": len(self._node.table.buckets[index].replacements),
                    }
                    for index, contacts in self._buckets()
                ],
            }
        ).encode()

    on_head = on_get

    def _buckets(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        node, now = self._node, self._node.now
        for index, bucket in enumerate(node.table.buckets):
            listed = []
            for contact in bucket.contacts.values():
                peer = node.table.get(contact.id)
                assert peer is not None
                silent = max(now - peer.heard, 0.0)
                listed.append(
                    contact_json(contact)
                    | {
                        "silent_seconds": round(silent, 3),
                        "is_fresh": silent < node.params.fresh_for,
                        "round_trip_seconds": (
                            round(peer.smoothed, 6) if peer.smoothed >= 0 else None
                        ),
                    }
                )
            yield index, listed


class Stored:
    """The values that the node keeps for the network."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How many there are, and some keys in order, from ``after`` on."""
        count, last = number(req, "limit", 50, MAX_LISTED), after(req)
        store = self._node.datastore
        keys = first_keys(store.keys(), last, count + 1)
        resp.data = json.dumps(
            {
                "values": len(store),
                "bytes": store.stored_bytes,
                "keys": list(self._described(keys[:count])),
                "next": keys[count - 1].hex() if len(keys) > count else None,
            }
        ).encode()

    on_head = on_get

    def _described(self, keys: list[bytes]) -> Iterator[dict[str, Any]]:
        seen = 0
        for key in keys:
            entries = self._node.datastore.entries(key)
            now = self._node.now
            ends = max((entry.expires for _, entry in entries), default=now)
            yield {
                "key": key.hex(),
                "values": len(entries),
                "bytes": sum(len(entry.encoded) for _, entry in entries),
                "ends_in_seconds": round(max(ends - now, 0.0), 3),
            }
            seen += len(entries)
            if seen > AT_ONCE:
                seen = 0
                gevent.sleep(0)


class Stats:
    """The node's counters."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What ``Node.stats`` says, and who it is."""
        node = self._node
        stats = {"node": contact_json(node.contact), "joined": node.joined} | node.stats()
        resp.data = json.dumps(stats).encode()

    on_head = on_get
