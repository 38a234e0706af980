"""The handlers of routes of objects: content of any size, streamed in both directions."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Final, TypedDict

import falcon
from msgspec import UNSET

from kademlua.api.fields import BadRequest
from kademlua.api.object_operations import PublishedObjectJson, published_object_to_json
from kademlua.core.errors import KademluaError
from kademlua.core.objects.report import ObjectReport
from kademlua.http.object_transfers import ObjectTransfers
from kademlua.http.route import ApiRequest
from kademlua.objects.reader import ObjectReader

logger = logging.getLogger(__name__)

STREAMED_PATHS: Final = frozenset({b"/v1/objects", b"/v1/batch"})
"""Paths whose request bodies have any size."""
_PART_BYTES: Final = 65_536
_CACHE_SECONDS: Final = 31_536_000


class StoredObjectJson(TypedDict):
    """An object that was stored."""

    key: str
    size: int
    blocks: int
    found_blocks: int
    fewest_replicas: int | None
    refusals: dict[str, int]
    timed_out: int


class PublishedObjectsJson(TypedDict):
    """The objects that the node publishes."""

    objects: list[PublishedObjectJson]


def list_objects(request: ApiRequest) -> PublishedObjectsJson:
    """Return the published objects."""
    return {
        "objects": [
            published_object_to_json(each) for each in request.operations.published_objects()
        ]
    }


def put_object(request: ApiRequest) -> StoredObjectJson:
    """Store the body as an object while it arrives."""
    if request.http.content_length is None:
        raise falcon.HTTPLengthRequired(description="send Content-Length")
    query, reports = request.query, [ObjectReport()]
    with request.services.object_transfers.one():
        try:
            key = request.operations.put_object(
                request.http.bounded_stream,
                ttl=None if query.ttl is UNSET else query.ttl,
                publish=query.publish,
                skip_stored=query.resume,
                on_progress=lambda report: reports.__setitem__(0, report),
            )
        except ValueError as error:
            raise BadRequest(str(error)) from None
    report = reports[0]
    return {
        "key": key.hex(),
        "size": report.stored_bytes,
        "blocks": report.stored_blocks,
        "found_blocks": report.found_blocks,
        "fewest_replicas": report.fewest_replicas,
        "refusals": dict(report.refusals),
        "timed_out": report.timed_out,
    }


def read_object(request: ApiRequest) -> Iterator[bytes]:
    """Return the object, or a range of it (RFC 9110, section 14)."""
    http, reply, key = request.http, request.reply, request.fields["key"]
    reply.set_header("Accept-Ranges", "bytes")
    # The content may come from anyone: a browser must not show it as a page of this origin.
    reply.set_header("Content-Disposition", "attachment")
    reply.set_header("X-Content-Type-Options", "nosniff")
    known = http.if_none_match or ()
    reader = None if key in known else request.operations.open_object(bytes.fromhex(key))
    if reader is None or "*" in known:
        _let_cache(request, key)
        raise falcon.HTTPStatus(falcon.HTTP_304)
    start, end = _requested_range(http, reader.size, key)
    reader.seek(start)
    parts = _parts(request.services.object_transfers, reader, end)
    first = b"" if http.method == "HEAD" else next(parts, b"")  # its error has a status
    _let_cache(request, key)
    if (start, end) != (0, reader.size):
        reply.status = falcon.HTTP_206
        reply.content_range = (start, end - 1, reader.size)
    reply.content_length = end - start
    return iter(()) if http.method == "HEAD" else _resumed(first, parts)


def _let_cache(request: ApiRequest, key: str) -> None:
    """Let the client keep the content, but no error: the next request may find the object."""
    request.reply.etag = key
    if request.secret is None:
        request.reply.cache_control = ["private", "immutable", f"max-age={_CACHE_SECONDS}"]


def _resumed(first: bytes, parts: Generator[bytes]) -> Iterator[bytes]:
    with closing(parts):
        yield first
        yield from parts


def unpublish_object(request: ApiRequest) -> None:
    """Stop republishing; the object expires at its TTL."""
    if not request.operations.unpublish_object(bytes.fromhex(request.fields["key"])):
        raise falcon.HTTPNotFound(description="the node does not publish this object")


def _requested_range(http: falcon.Request, size: int, key: str) -> tuple[int, int]:
    """Return the start and end of the requested range; the whole object without a valid one.

    Raises:
        falcon.HTTPRangeNotSatisfiable: it begins after the end of the object.
    """
    try:
        requested, unit = http.range, http.range_unit
    except falcon.HTTPInvalidHeader:  # several ranges, or none that is understood
        return 0, size
    condition = http.get_header("If-Range")
    if http.method == "HEAD":  # only GET has ranges
        return 0, size
    if requested is None or unit != "bytes" or condition not in (None, f'"{key}"'):
        return 0, size
    first, last = requested
    if first < 0:  # the last bytes
        first, last = max(0, size + first), -1
    end = size if last == -1 else min(last + 1, size)
    if first >= size:
        raise falcon.HTTPRangeNotSatisfiable(size)
    return first, end


def _parts(transfers: ObjectTransfers, reader: ObjectReader, end: int) -> Generator[bytes]:
    """Yield the bytes from the reader's position to ``end``, and close the reader.

    Raises:
        ConnectionAbortedError: a block is missing, when it is too late for a status.
    """
    start = reader.tell()
    with transfers.one(), closing(reader):
        while reader.tell() < end:
            try:
                part = reader.read(min(_PART_BYTES, end - reader.tell()))
            except KademluaError as error:
                if reader.tell() == start:
                    raise
                logger.warning("an object was cut short: %s", error)
                raise ConnectionAbortedError(str(error)) from error
            yield part or b""
