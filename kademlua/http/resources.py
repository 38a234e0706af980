"""The handlers of routes that are more than one operation of ``NodeApi``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict, TypeVar

import falcon

import kademlua
from kademlua.api.json_form import (
    ContactDetailsJson,
    PublicationJson,
    StoredValueJson,
    contact_details_to_json,
    publication_to_json,
    stored_value_to_json,
)
from kademlua.build import build_name
from kademlua.core.ids import ID_BYTES
from kademlua.core.json_codec import ContactJson, contact_to_json, value_from_json
from kademlua.http.event_stream import node_frames, watch_frames
from kademlua.http.metrics import CONTENT_TYPE
from kademlua.http.pagination import page_of_keys
from kademlua.http.route import ApiRequest
from kademlua.http.value_codec import BYTES, JSON
from kademlua.objects.published import PublishedObjects
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.export_format import stored_values

T = TypeVar("T")


class BucketJson(TypedDict):
    """A k-bucket; 159 is the farthest half of the id space."""

    bucket: int
    contacts: list[ContactDetailsJson]
    replacements: int


class RoutingTableJson(TypedDict):
    """The routing table, the farthest bucket first."""

    node: ContactJson
    buckets: list[BucketJson]


class StoredPageJson(TypedDict):
    """Totals of the store, and a page of its values in key order."""

    values: int
    bytes: int
    stored: list[StoredValueJson]
    next: str | None


class PublishedPageJson(TypedDict):
    """A page of published values in key order."""

    published: list[PublicationJson]
    next: str | None


class LimitsJson(TypedDict):
    """Limits of values, and the number of copies that the network keeps."""

    max_value_bytes: int
    default_ttl: int
    max_ttl: int
    replicas: int


class NodeInfoJson(TypedDict):
    """The node that serves a request, and what the request's token permits."""

    node: ContactJson
    joined: bool
    version: str
    build: str
    limits: LimitsJson
    access: str
    """``full``, ``none`` without a token, or ``wrong``."""
    token_source: str
    """Where a user finds the token, in words."""


def operation(name: str) -> Callable[[ApiRequest], dict[str, Any]]:
    """Return a handler that runs an operation of ``NodeApi``."""
    return lambda request: request.run(name)


def report_health(request: ApiRequest) -> bytes:
    """Return a text while the node, its maintenance and its store work."""
    node = request.node
    if not node.healthy:
        reason = "the node is closed" if node.closed else node.datastore.damage
        reason = reason or "maintenance is stuck"
        raise falcon.HTTPServiceUnavailable(description=reason)
    return b"ok\n"


def report_readiness(request: ApiRequest) -> bytes:
    """Return a text once the node has joined a network."""
    if not request.node.joined:
        raise falcon.HTTPServiceUnavailable(description="the node has not joined")
    return b"joined\n"


def render_metrics(request: ApiRequest) -> bytes:
    """Return all metrics in the Prometheus text format."""
    request.reply.content_type = CONTENT_TYPE
    return request.services.metrics.render()


def find(request: ApiRequest) -> Any:
    """Return all answers as JSON, or the first value's bytes, as ``Accept`` prefers."""
    content_type = request.http.client_prefers((JSON, BYTES))
    if content_type is None:
        raise falcon.HTTPNotAcceptable(description=f"there is {JSON} and {BYTES}")
    found = request.run("find")
    if not found["answers"]:
        raise falcon.HTTPNotFound(description="the nodes closest to the key have no value")
    if content_type == JSON:
        return found
    request.reply.content_type = BYTES
    for answer in found["answers"]:
        for value in map(value_from_json, answer["values"]):
            if isinstance(value, bytes):
                return value
    raise falcon.HTTPNotAcceptable(description=f"the value is not bytes; accept {JSON}")


def unpublish(request: ApiRequest) -> None:
    """Stop republishing; the value expires at its TTL."""
    if not request.run("unpublish")["was_published"]:
        raise falcon.HTTPNotFound(description="the node publishes nothing under this key")


def list_published(request: ApiRequest) -> bytes:
    """Return a ``PublishedPageJson``."""
    others = PublishedObjects(request.node.published()).others()
    publications = {each.key: each for each in others}
    page, next_cursor = _page(request, publications, lambda key: [publications[key]])
    rows = dump_rows(request, map(publication_to_json, page))
    return b'{"published": [%b], "next": %b}' % (rows, json.dumps(next_cursor).encode())


def list_stored(request: ApiRequest) -> bytes:
    """Return a ``StoredPageJson``; all values of a key are in the same page."""
    node, store = request.node, request.node.datastore
    page, next_cursor = _page(
        request, store.keys(), lambda key: stored_values(store, [key], lambda: node.now)
    )
    rows = dump_rows(request, map(stored_value_to_json, page))
    totals = {"values": len(store), "bytes": store.stored_bytes, "next": next_cursor}
    return b'%b, "stored": [%b]}' % (json.dumps(totals).encode()[:-1], rows)


def list_contacts(request: ApiRequest) -> RoutingTableJson:
    """Return the routing table."""
    node = request.node
    return {
        "node": contact_to_json(node.contact),
        "buckets": [
            {
                "bucket": 8 * ID_BYTES - 1 - index,
                "contacts": [
                    contact_details_to_json(node, contact, node.now) for contact in bucket.contacts
                ],
                "replacements": len(bucket.replacements),
            }
            for index, bucket in enumerate(node.table.buckets)
        ],
    }


def describe_node(request: ApiRequest) -> NodeInfoJson:
    """Return the node, its limits, and what the client may do."""
    node, params = request.node, request.node.params
    access_control = request.services.access_control
    return {
        "node": contact_to_json(node.contact),
        "joined": node.joined,
        "version": kademlua.__version__,
        "build": build_name(),
        "limits": {
            "max_value_bytes": params.max_value_bytes,
            "default_ttl": round(params.ttl),
            "max_ttl": params.max_ttl,
            "replicas": params.replicas,
        },
        "access": access_control.access_of(request.http),
        "token_source": access_control.token_source,
    }


def report_stats(request: ApiRequest) -> dict[str, Any]:
    """Return ``Node.stats`` with the node's contact."""
    node = request.node
    return {"node": contact_to_json(node.contact), "joined": node.joined} | node.stats()


def stream_node_events(request: ApiRequest) -> Iterator[bytes]:
    """Return a stream of the requested kinds of events."""
    kinds, lookups = set(request.query.kinds.split(",")), request.query.lookups
    return request.services.event_streams.open(node_frames(request.node, kinds, lookups))


def stream_changes(request: ApiRequest) -> Iterator[bytes]:
    """Return a stream of what changes under a key."""
    key = bytes.fromhex(request.fields["key"])
    return request.services.event_streams.open(watch_frames(request.node, key, request.secret))


def _page(
    request: ApiRequest, keys: Iterable[bytes], values_of: Callable[[bytes], Iterable[T]]
) -> tuple[list[T], str | None]:
    """Return the values of the keys after the cursor, about ``limit``, and the next cursor."""
    limit = request.query.limit
    page_keys = page_of_keys(keys, bytes.fromhex(request.query.after), limit + 1)
    values: list[T] = []
    for index, key in enumerate(in_slices(page_keys, lambda: request.node.now)):
        if index and (len(values) >= limit or index == limit):
            return values, page_keys[index - 1].hex()
        values += values_of(key)
    return values, None


def dump_rows(request: ApiRequest, rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the items of a list as JSON; other greenlets run in between."""
    parts = (json.dumps(row).encode() for row in in_slices(rows, lambda: request.node.now))
    return b", ".join(parts)
