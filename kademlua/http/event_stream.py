"""The stream of events: server-sent, bounded, and no dearer however busy the node is."""

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
"""Seconds between two looks at what happened."""
_STATS_EVERY_POLLS = 10
"""Turns."""
_MAX_QUEUED = 2_000
"""Events that wait for one client, at most."""
_MAX_PER_SECOND = 200
"""Contacts and values that are told in a second; of more the number."""


class EventsResource:
    """What happens, as it happens."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stream_count = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A stream that goes on until the client ends it."""
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
            req.env["kademlua.mark_streaming"]()

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Only the head of it."""
        self.on_get(req, resp)

    def _stream(self, event_queue: _EventQueue) -> Iterator[bytes]:
        """All that the listener hears, some at a time; ends with the node."""
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
                elif poll % 100 == 0:  # so that it shows when nobody listens any more
                    yield b": still here\n\n"
                poll += 1
                gevent.sleep(_POLL_INTERVAL)
        finally:
            node.unobserve(event_queue)
            self._stream_count -= 1


class _EventQueue(Observer):
    """Writes down, within bounds, what one client wants to hear."""

    def __init__(self, kinds: set[str], lookups_per_second: int) -> None:
        self._kinds = kinds
        self._lookups_per_second = self._lookups_left = lookups_per_second
        self._others_left = _MAX_PER_SECOND
        self._last_lookup_id = 0
        self._skipped = 0
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()

    def drain(self) -> bytes:
        """The frames of all that was written down since the last time."""
        frames = b"".join(
            b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data).encode())
            for name, data in self._queue
        )
        self._queue.clear()
        return frames

    def start_second(self, node: Node) -> None:
        """Another second has begun: tell the counters, and what was not told before."""
        self._lookups_left = self._lookups_per_second
        self._others_left = _MAX_PER_SECOND
        if "stats" in self._kinds:
            self.add("stats", node.stats() | {"joined": node.joined, "skipped": self._skipped})

    def add(self, event: str, data: dict[str, Any]) -> None:
        """Write an event down, if it still fits."""
        if len(self._queue) < _MAX_QUEUED:
            self._queue.append((event, data))
        else:
            self._skipped += 1

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Some lookups in a second are told, from their beginning to their end."""
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
        """It is told."""
        if self._acquire_slot("contact"):
            self.add("contact-entered", contact_to_json(contact))

    def on_contact_removed(self, contact: Contact) -> None:
        """It is told."""
        if self._acquire_slot("contact"):
            self.add("contact-left", contact_to_json(contact))

    def on_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """It is told."""
        if self._acquire_slot("value"):
            owner_json = contact_to_json(owner)
            self.add("value-stored", {"key": key.hex(), "owner": owner_json, "bytes": size})

    def _acquire_slot(self, kind: str) -> bool:
        """Whether this kind is wanted, and there is room for one more in this second."""
        if kind not in self._kinds:
            return False
        self._others_left -= 1
        if self._others_left < 0:
            self._skipped += 1
        return self._others_left >= 0
