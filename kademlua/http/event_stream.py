"""A bounded stream of server-sent events."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import falcon
import gevent

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json
from kademlua.http.pagination import int_param
from kademlua.node.node import Node
from kademlua.runtime.lookup_events import LookupEventEmitter
from kademlua.runtime.observers import LookupObserver, Observer

EVENT_KINDS = ("lookup", "contact", "value", "stats")
MAX_STREAMS = 16
_POLL_INTERVAL = 0.1
"""Seconds between two writes of queued events."""
_STATS_EVERY_POLLS = 10
"""Polls between two events with statistics."""
_MAX_QUEUED = 2_000
"""Maximum queued events for one client."""
_MAX_PER_SECOND = 200
"""Maximum contact and value events sent per second; further events are counted."""


class EventsResource:
    """The events of the node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stream_count = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send a stream until the client closes it."""
        requested = req.get_param("kinds")
        kinds = set(requested.split(",") if requested is not None else EVENT_KINDS)
        if not kinds <= set(EVENT_KINDS):
            raise falcon.HTTPInvalidParam(f"there is {', '.join(EVENT_KINDS)}", "kinds")
        max_lookups = int_param(req, "lookups", 10, 100)
        if self._stream_count >= MAX_STREAMS:
            raise falcon.HTTPServiceUnavailable(description="too many listen already")
        resp.content_type = "text/event-stream"
        resp.cache_control = ["no-store"]
        if req.method == "GET":
            resp.stream = self._stream(_EventQueue(kinds, max_lookups))

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the header fields of the stream."""
        self.on_get(req, resp)

    def _stream(self, event_queue: _EventQueue) -> Iterator[bytes]:
        """Yield the queued events until the node closes."""
        node = self._node
        self._stream_count += 1
        node.observe(event_queue)
        try:
            yield b"retry: 2000\n\n"
            poll = 0
            while not node.closed:
                if poll % _STATS_EVERY_POLLS == 0:
                    event_queue.start_second(node)
                frames = event_queue.drain()
                if frames:
                    yield frames
                elif poll % 100 == 0:  # a write detects a closed connection
                    yield b": still here\n\n"
                poll += 1
                gevent.sleep(_POLL_INTERVAL)
        finally:
            node.unobserve(event_queue)
            self._stream_count -= 1


class _EventQueue(Observer):
    """Queues the events that one client requested, up to a limit."""

    def __init__(self, kinds: set[str], lookups_per_second: int) -> None:
        self._kinds = kinds
        self._lookups_per_second = self._lookups_left = lookups_per_second
        self._others_left = _MAX_PER_SECOND
        self._last_lookup_id = 0
        self._skipped = 0
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()

    def drain(self) -> bytes:
        """Return and remove the frames of all queued events."""
        frames = b"".join(
            b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data).encode())
            for name, data in self._queue
        )
        self._queue.clear()
        return frames

    def start_second(self, node: Node) -> None:
        """Reset the limits per second and add an event with statistics."""
        self._lookups_left = self._lookups_per_second
        self._others_left = _MAX_PER_SECOND
        if "stats" in self._kinds:
            self.add("stats", node.stats() | {"joined": node.joined, "skipped": self._skipped})

    def add(self, event: str, data: dict[str, Any]) -> None:
        """Queue an event, or count it as skipped if the queue is full."""
        if len(self._queue) < _MAX_QUEUED:
            self._queue.append((event, data))
        else:
            self._skipped += 1

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Return an emitter for the lookup unless the limit per second is reached."""
        if "lookup" not in self._kinds:
            return None
        if self._lookups_left <= 0:
            self._skipped += 1
            return None
        self._lookups_left -= 1
        self._last_lookup_id += 1
        events = LookupEventEmitter(self.add, self._last_lookup_id)
        events.start(rpc_name, target, purpose)
        return events

    def on_contact_added(self, contact: Contact) -> None:
        """Queue an event."""
        if self._acquire_slot("contact"):
            self.add("contact-entered", contact_to_json(contact))

    def on_contact_removed(self, contact: Contact) -> None:
        """Queue an event."""
        if self._acquire_slot("contact"):
            self.add("contact-left", contact_to_json(contact))

    def on_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """Queue an event."""
        if self._acquire_slot("value"):
            owner_json = contact_to_json(owner)
            self.add("value-stored", {"key": key.hex(), "owner": owner_json, "bytes": size})

    def _acquire_slot(self, kind: str) -> bool:
        """Use one event of this second's limit; return False if it is used up."""
        if kind not in self._kinds:
            return False
        self._others_left -= 1
        if self._others_left < 0:
            self._skipped += 1
        return self._others_left >= 0
