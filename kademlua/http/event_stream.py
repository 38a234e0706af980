"""The stream of events: server-sent, bounded, and no dearer however busy the node is."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import falcon
import gevent

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_json
from kademlua.http.pagination import number
from kademlua.node.node import Node
from kademlua.runtime.lookup_events import LookupEvents
from kademlua.runtime.observers import LookupObserver, Observer

KINDS = ("lookup", "contact", "value", "stats")
MAX_STREAMS = 16
_TURN = 0.1
"""Seconds between two looks at what happened."""
_STATS_EVERY = 10
"""Turns."""
_QUEUE = 2_000
"""Events that wait for one client, at most."""
_PER_SECOND = 200
"""Contacts and values that are told in a second; of more the number."""


class Events:
    """What happens, as it happens."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A stream that goes on until the client ends it."""
        asked = req.get_param("kinds")
        kinds = set(asked.split(",") if asked is not None else KINDS)
        if not kinds <= set(KINDS):
            raise falcon.HTTPInvalidParam(f"there is {', '.join(KINDS)}", "kinds")
        lookups = number(req, "lookups", 10, 100)
        if self._open >= MAX_STREAMS:
            raise falcon.HTTPServiceUnavailable(description="too many listen already")
        resp.content_type = "text/event-stream"
        resp.cache_control = ["no-store"]
        if req.method == "GET":
            resp.stream = self._frames(_Listener(kinds, lookups))
            req.env["kademlua.lasts"]()

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Only the head of it."""
        self.on_get(req, resp)

    def _frames(self, listener: _Listener) -> Iterator[bytes]:
        """All that the listener hears, some at a time; ends with the node."""
        node = self._node
        self._open += 1
        node.observe(listener)
        try:
            yield b"retry: 2000\n\n"
            turn = 0
            while not node.closed:
                if turn % _STATS_EVERY == 0:
                    listener.renew(node)
                frames = listener.take()
                if frames:
                    yield frames
                elif turn % 100 == 0:  # so that it shows when nobody listens any more
                    yield b": still here\n\n"
                turn += 1
                gevent.sleep(_TURN)
        finally:
            node.unobserve(listener)
            self._open -= 1


class _Listener(Observer):
    """Writes down, within bounds, what one client wants to hear."""

    def __init__(self, kinds: set[str], lookups: int) -> None:
        self._kinds = kinds
        self._lookups_per_second = self._lookups_left = lookups
        self._others_left = _PER_SECOND
        self._numbers = 0
        self._skipped = 0
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()

    def take(self) -> bytes:
        """The frames of all that was written down since the last time."""
        frames = b"".join(
            b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data).encode())
            for name, data in self._queue
        )
        self._queue.clear()
        return frames

    def renew(self, node: Node) -> None:
        """Another second has begun: tell the counters, and what was not told before."""
        self._lookups_left = self._lookups_per_second
        self._others_left = _PER_SECOND
        if "stats" in self._kinds:
            self.note("stats", node.stats() | {"joined": node.joined, "skipped": self._skipped})

    def note(self, name: str, data: dict[str, Any]) -> None:
        """Write an event down, if it still fits."""
        if len(self._queue) < _QUEUE:
            self._queue.append((name, data))
        else:
            self._skipped += 1

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """Some lookups in a second are told, from their beginning to their end."""
        if "lookup" not in self._kinds:
            return None
        if self._lookups_left <= 0:
            self._skipped += 1
            return None
        self._lookups_left -= 1
        self._numbers += 1
        events = LookupEvents(self.note, self._numbers)
        events.begin(name, target, cause)
        return events

    def contact_entered(self, contact: Contact) -> None:
        """It is told."""
        if self._may_tell("contact"):
            self.note("contact-entered", contact_json(contact))

    def contact_left(self, contact: Contact) -> None:
        """It is told."""
        if self._may_tell("contact"):
            self.note("contact-left", contact_json(contact))

    def value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """It is told."""
        if self._may_tell("value"):
            owner_json = contact_json(owner)
            self.note("value-stored", {"key": key.hex(), "owner": owner_json, "bytes": size})

    def _may_tell(self, kind: str) -> bool:
        """Whether this kind is wanted, and there is room for one more in this second."""
        if kind not in self._kinds:
            return False
        self._others_left -= 1
        if self._others_left < 0:
            self._skipped += 1
        return self._others_left >= 0
