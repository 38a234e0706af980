"""HTTP resources for contacts, stored values, counters and lookups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import falcon
import gevent

from kademlua.api.json_form import contact_details_to_json, lookup_to_json
from kademlua.core.ids import ID_BYTES
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
        """Send the closest contacts to a key, the closest first."""
        target = key_from_path(req, "/v1/lookup/")
        started_at = self._node.now
        found = self._node.find_node(target)
        seconds = self._node.now - started_at
        resp.data = json.dumps(lookup_to_json(target, found, seconds)).encode()

    on_head = on_get


class ContactsResource:
    """The routing table."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send all contacts by bucket, the farthest bucket first."""
        resp.data = json.dumps(
            {
                "node": contact_to_json(self._node.contact),
                "buckets": [
                    {
                        "bucket": 8 * ID_BYTES - 1 - index,
                        "contacts": [
                            contact_details_to_json(self._node, contact, self._node.now)
                            for contact in bucket.contacts.values()
                        ],
                        "replacements": len(bucket.replacements),
                    }
                    for index, bucket in enumerate(self._node.table.buckets)
                ],
            }
        ).encode()

    on_head = on_get


class StoredResource:
    """The values that the node stores."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the totals and one page of keys in order."""
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
                "remaining_seconds": round(max(expires_at - now, 0.0), 3),
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
        """Send ``Node.stats`` with the node's contact."""
        node = self._node
        stats = {"node": contact_to_json(node.contact), "joined": node.joined} | node.stats()
        resp.data = json.dumps(stats).encode()

    on_head = on_get
