"""The table of the HTTP API: one entry per method of a path.

The routes, the parsing of query parameters and the OpenAPI document all come from it.
"""

from __future__ import annotations

from typing import Any

from kademlua.api.json_form import FoundValuesJson, LookupJson, StoreReportJson
from kademlua.http import batch_resources, object_resources, resources, swarm_resources
from kademlua.http.event_stream import EVENT_STREAM
from kademlua.http.health import HealthJson
from kademlua.http.queries import (
    AddQuery,
    BatchQuery,
    EventsQuery,
    FindQuery,
    HoldersQuery,
    KeyQuery,
    KillQuery,
    PageQuery,
    PublishQuery,
    PutObjectQuery,
)
from kademlua.http.resources import operation
from kademlua.http.route import Route
from kademlua.http.value_codec import BYTES, TEXT

ROUTES = (
    Route(
        "GET /healthz",
        "Return 200 while the node and its maintenance run.",
        resources.report_health,
        reply=TEXT,
    ),
    Route(
        "GET /readyz",
        "Return 200 once the node has joined.",
        resources.report_readiness,
        reply=TEXT,
    ),
    Route(
        "GET /v1/openapi.json",
        "Return this document.",
        lambda request: request.services.document,
        reply=dict[str, Any],
    ),
    Route(
        "GET /v1/health",
        "Return the health with reasons; with a swarm, that of all its nodes.",
        lambda request: request.services.health.report(),
        reply=HealthJson,
    ),
    Route(
        "GET /v1/node",
        "Return the node, its limits, and what the client may do.",
        resources.describe_node,
        reply=resources.NodeInfoJson,
    ),
    Route("GET /metrics", "Return metrics for Prometheus.", resources.render_metrics, reply=TEXT),
    Route(
        "GET /v1/values/{key}",
        "Find the values of a key.",
        resources.find,
        query=FindQuery,
        reply=FoundValuesJson,
        alternatives=(BYTES,),
        errors=(406,),
        takes_secret=True,
    ),
    Route(
        "POST /v1/values/{key}",
        "Add this node's value of a key, in place of its previous one.",
        operation("add"),
        query=AddQuery,
        reply=StoreReportJson,
        has_body=True,
        takes_secret=True,
    ),
    Route(
        "DELETE /v1/values/{key}",
        "Remove this node's value of a key from all replicas.",
        operation("remove"),
        query=KeyQuery,
        reply=StoreReportJson,
        takes_secret=True,
    ),
    Route(
        "GET /v1/lookup/{key}",
        "Look up the contacts closest to a key.",
        operation("lookup"),
        query=KeyQuery,
        reply=LookupJson,
    ),
    Route(
        "GET /v1/published",
        "List the published values.",
        resources.list_published,
        query=PageQuery,
        reply=resources.PublishedPageJson,
    ),
    Route(
        "PUT /v1/published/{key}",
        "Store a value and republish it while this node runs.",
        operation("publish"),
        query=PublishQuery,
        reply=StoreReportJson,
        has_body=True,
        takes_secret=True,
    ),
    Route(
        "DELETE /v1/published/{key}",
        "Stop republishing a value; it expires at its TTL.",
        resources.unpublish,
        query=KeyQuery,
        takes_secret=True,
    ),
    Route(
        "GET /v1/objects",
        "List the published objects.",
        object_resources.list_objects,
        reply=object_resources.PublishedObjectsJson,
        takes_secret=True,
    ),
    Route(
        "POST /v1/objects",
        "Store an object of any size.",
        object_resources.put_object,
        query=PutObjectQuery,
        reply=object_resources.StoredObjectJson,
        streams_body=True,
        errors=(502,),
        takes_secret=True,
    ),
    Route(
        "GET /v1/objects/{key}",
        "Return an object, or the part of it that Range names.",
        object_resources.read_object,
        reply=BYTES,
        errors=(416, 502),
        takes_secret=True,
    ),
    Route(
        "DELETE /v1/objects/{key}",
        "Stop republishing an object; it expires at its TTL.",
        object_resources.unpublish_object,
        takes_secret=True,
    ),
    Route(
        "POST /v1/batch",
        "Store or find many keys: a line of JSON for each, in both directions.",
        batch_resources.run_batch,
        query=BatchQuery,
        reply=batch_resources.JSON_LINES,
        streams_body=True,
    ),
    Route(
        "GET /v1/contacts",
        "Return the routing table.",
        resources.list_contacts,
        reply=resources.RoutingTableJson,
    ),
    Route(
        "GET /v1/stored",
        "List the values that the node stores.",
        resources.list_stored,
        query=PageQuery,
        reply=resources.StoredPageJson,
    ),
    Route(
        "GET /v1/stats",
        "Return the counters of the node.",
        resources.report_stats,
        reply=dict[str, Any],
    ),
    Route(
        "GET /v1/watch/{key}",
        "Stream what changes under a key as server-sent events; the values that exist come first.",
        resources.stream_changes,
        query=KeyQuery,
        reply=EVENT_STREAM,
        takes_secret=True,
    ),
    Route(
        "GET /v1/events",
        "Stream events as server-sent events.",
        resources.stream_node_events,
        query=EventsQuery,
        reply=EVENT_STREAM,
    ),
)

SWARM_ROUTES = (
    Route(
        "GET /v1/swarm",
        "List all nodes of the swarm.",
        swarm_resources.list_swarm,
        reply=swarm_resources.SwarmJson,
    ),
    Route(
        "GET /v1/swarm/values",
        "List keys and the nodes that hold them; empty while no stream of events is open.",
        swarm_resources.list_swarm_values,
        query=HoldersQuery,
        reply=swarm_resources.SwarmValuesJson,
    ),
    Route(
        "GET /v1/swarm/events",
        "Stream the events of the swarm as server-sent events.",
        swarm_resources.stream_swarm_events,
        reply=EVENT_STREAM,
    ),
    Route(
        "POST /v1/swarm/kill",
        "Kill a node, by default a random one.",
        swarm_resources.change_swarm(swarm_resources.kill_node),
        query=KillQuery,
        reply=swarm_resources.MemberJson,
        errors=(409,),
    ),
    Route(
        "POST /v1/swarm/join",
        "Start a node.",
        swarm_resources.change_swarm(swarm_resources.start_node),
        reply=swarm_resources.MemberJson,
        errors=(409,),
    ),
)
