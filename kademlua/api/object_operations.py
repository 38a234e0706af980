"""The operations of ``NodeApi`` on published objects, for the control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

import gevent
from gevent.queue import Queue

from kademlua.api.fields import BadRequest, Fields
from kademlua.core.objects.report import ObjectReport
from kademlua.node.node import Node
from kademlua.objects.published import PublishedObject
from kademlua.objects.streams import PooledStream

_PROGRESS_SECONDS: Final = 0.25
"""Seconds between two rows of progress."""


class PublishedObjectJson(TypedDict):
    """A published object."""

    key: str
    size: int
    ttl: int


def published_object_to_json(each: PublishedObject) -> PublishedObjectJson:
    """Return a published object."""
    return {"key": each.key.hex(), "size": each.size, "ttl": each.ttl}


class ObjectOperations:
    """The operations on published objects."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.calls: dict[str, Callable[[Fields], Mapping[str, Any]]] = {
            "unpublish_object": self._unpublish_object,
        }
        self.streams: dict[str, Callable[[Fields], Iterator[Mapping[str, Any]]]] = {
            "publish_object": self._publish_object,
            "published_objects": self._published_objects,
        }

    def _unpublish_object(self, fields: Fields) -> dict[str, Any]:
        """``key`` → whether it was published."""
        key = fields.key()
        fields.reject_unknown()
        return {"key": key.hex(), "was_published": self._node.unpublish_object(key)}

    def _published_objects(self, fields: Fields) -> Iterator[PublishedObjectJson]:
        """→ rows: the published objects."""
        fields.reject_unknown()
        return map(published_object_to_json, self._node.published_objects())

    def _publish_object(self, fields: Fields) -> Iterator[Mapping[str, Any]]:
        """``path``, ``ttl`` → rows: ``stored_bytes`` from time to time, at the end the ``key``."""
        path, ttl = Path(fields.text("path")), fields.seconds("ttl")
        fields.reject_unknown()
        if not path.is_absolute():
            raise BadRequest("'path' is an absolute path")
        if path.exists() and not path.is_file():  # a pipe would block the node
            raise BadRequest(f"{path}: not a regular file")
        return self._publish_file(path, ttl)

    def _publish_file(self, path: Path, ttl: float | None) -> Iterator[Mapping[str, Any]]:
        node = self._node
        node.wait_joined()
        rows: Queue[Mapping[str, Any] | Exception] = Queue()
        shown_at = node.now

        def show(report: ObjectReport) -> None:
            nonlocal shown_at
            if node.now - shown_at >= _PROGRESS_SECONDS:
                shown_at = node.now
                rows.put({"stored_bytes": report.stored_bytes})

        def publish() -> None:
            try:
                with path.open("rb") as file:
                    source = PooledStream(file)
                    key = node.put_object(source, ttl=ttl, publish=True, on_progress=show)
                rows.put({"key": key.hex()})
            except Exception as error:  # raised where the rows are taken
                rows.put(error)

        publishing = gevent.spawn(publish)
        try:
            while "key" not in (row := _row_of(rows.get(), path)):
                yield row
            yield row
        finally:
            publishing.kill()


def _row_of(row: Mapping[str, Any] | Exception, path: Path) -> Mapping[str, Any]:
    """Return a row, or raise the error in its place."""
    if isinstance(row, OSError):
        raise BadRequest(f"{path}: {row.strerror}")
    if isinstance(row, ValueError):
        raise BadRequest(str(row))
    if isinstance(row, Exception):
        raise row
    return row
