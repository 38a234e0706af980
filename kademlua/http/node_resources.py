"""What a node knows, to look at: contacts, stored values, counters; and lookups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import falcon
import gevent

from kademlua.core.json_codec import contact_to_json
from kademlua.http.pagination import (
    MAX_PAGE_SIZE,
    YIELD_EVERY,
    int_param,
    page_of_keys,
    parse_cursor,
)
from kademlua.http.value_codec import key_from_path
from kademlua.node.node import Node


class LookupResource:
    """The contacts closest to a key."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Look them up in the network, the nearest first."""
        target = key_from_path(req, "/v1/lookup/")
        started_at = self._node.now
        found = self._node.find_node(target)
        resp.data = json.dumps(
            {
                "target": target.hex(),
                "seconds": round(self._node.now - started_at, 6),
                "contacts": [contact_to_json(contact) for contact in found],
            }
        ).encode()

    on_head = on_get


class ContactsResource:
    """The routing table."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All contacts, bucket by bucket, the farthest first."""
        resp.data = json.dumps(
            {
                "node": contact_to_json(self._node.contact),
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
                entry = node.table.get(contact.id)
                assert entry is not None
                idle_seconds = max(now - entry.last_seen, 0.0)
                listed.append(
                    contact_to_json(contact)
                    | {
                        "silent_seconds": round(idle_seconds, 3),
                        "is_fresh": idle_seconds < node.params.freshness_window,
                        "round_trip_seconds": (
                            round(entry.rtt.srtt, 6) if entry.rtt.srtt >= 0 else None
                        ),
                    }
                )
            yield index, listed


class StoredResource:
    """The values that the node keeps for the network."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How many there are, and some keys in order, from ``parse_cursor`` on."""
        limit, cursor = int_param(req, "limit", 50, MAX_PAGE_SIZE), parse_cursor(req)
        store = self._node.datastore
        keys = page_of_keys(store.keys(), cursor, limit + 1)
        resp.data = json.dumps(
            {
                "values": len(store),
                "bytes": store.stored_bytes,
                "keys": list(self._describe(keys[:limit])),
                "next": keys[limit - 1].hex() if len(keys) > limit else None,
            }
        ).encode()

    on_head = on_get

    def _describe(self, keys: list[bytes]) -> Iterator[dict[str, Any]]:
        entry_count = 0
        for key in keys:
            entries = self._node.datastore.entries(key)
            now = self._node.now
            expires_at = max((entry.expires_at for _, entry in entries), default=now)
            yield {
                "key": key.hex(),
                "values": len(entries),
                "bytes": sum(len(entry.encoded) for _, entry in entries),
                "ends_in_seconds": round(max(expires_at - now, 0.0), 3),
            }
            entry_count += len(entries)
            if entry_count > YIELD_EVERY:
                entry_count = 0
                gevent.sleep(0)


class StatsResource:
    """The node's counters."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What ``Node.stats`` says, and who it is."""
        node = self._node
        stats = {"node": contact_to_json(node.contact), "joined": node.joined} | node.stats()
        resp.data = json.dumps(stats).encode()

    on_head = on_get
