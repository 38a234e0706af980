"""The query parameters of the HTTP API: one class per kind of request."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from kademlua.http import batch_resources
from kademlua.http.event_stream import EVENT_KINDS
from kademlua.http.route import NoQuery

_KINDS_PATTERN = "^({0})(,({0}))*$".format("|".join(EVENT_KINDS))


class KeyQuery(NoQuery, kw_only=True):
    """Query parameters of a path with a key."""

    hex: Annotated[bool, Meta(description="The path has the 40 hex digits of the key itself.")] = (
        False
    )


class FindQuery(KeyQuery, kw_only=True):
    """Query parameters of ``find``."""

    answers: Annotated[int, Meta(ge=1, le=20, description="Maximum nodes with values.")] = 3
    per_node: Annotated[int, Meta(ge=1, le=1_000, description="Maximum values of each node.")] = 100
    max_bytes: (
        Annotated[int, Meta(ge=1, description="Maximum bytes of all values.")] | UnsetType
    ) = UNSET
    timeout: (
        Annotated[float, Meta(gt=0, le=30, description="Seconds after which the find ends.")]
        | UnsetType
    ) = UNSET


class PublishQuery(KeyQuery, kw_only=True):
    """Query parameters of ``publish``."""

    ttl: Annotated[int, Meta(ge=1, description="Seconds until it expires.")] | UnsetType = UNSET


class AddQuery(PublishQuery, kw_only=True):
    """Query parameters of ``add``."""

    overwrite: Annotated[bool, Meta(description="Ask holders to drop other owners' values.")] = (
        False
    )


class PutObjectQuery(NoQuery, kw_only=True):
    """Query parameters of a new object."""

    ttl: Annotated[int, Meta(ge=1, description="Seconds until it expires.")] | UnsetType = UNSET
    publish: Annotated[bool, Meta(description="Republish it while this node runs.")] = False
    resume: Annotated[bool, Meta(description="Store only the blocks that are not found.")] = False


class BatchQuery(KeyQuery, kw_only=True):
    """Query parameters of a batch."""

    operation: Annotated[
        str,
        Meta(
            pattern=f"^({'|'.join(batch_resources.OPERATIONS)})$",
            description="What happens to each key: add, overwrite, publish or find.",
        ),
    ] = "add"
    ttl: Annotated[int, Meta(ge=1, description="Seconds until a value expires.")] | UnsetType = (
        UNSET
    )
    answers: Annotated[int, Meta(ge=1, le=20, description="Maximum nodes with values.")] = 3


class PageQuery(NoQuery, kw_only=True):
    """Query parameters of a page of a list."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Maximum keys in the page.")] = 50
    after: Annotated[
        str, Meta(pattern="^([0-9a-fA-F]{40})?$", description="``next`` of the previous page.")
    ] = ""


class HoldersQuery(NoQuery, kw_only=True):
    """Query parameters of ``/v1/swarm/values``."""

    limit: Annotated[int, Meta(ge=1, le=1_000, description="Maximum keys.")] = 200


class KillQuery(NoQuery, kw_only=True):
    """Query parameters of ``/v1/swarm/kill``."""

    port: (
        Annotated[int, Meta(ge=1, le=65_535, description="Port of the node; default: any node.")]
        | UnsetType
    ) = UNSET


class EventsQuery(NoQuery, kw_only=True):
    """Query parameters of ``/v1/events``."""

    kinds: Annotated[
        str, Meta(pattern=_KINDS_PATTERN, description="Kinds of events, separated by commas.")
    ] = ",".join(EVENT_KINDS)
    lookups: Annotated[int, Meta(ge=1, le=100, description="Maximum lookups per second.")] = 10
