"""HTTP resources of a swarm: its nodes, its events, and changes of its members."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import falcon
import gevent

from kademlua.http.event_stream import MAX_STREAMS
from kademlua.swarm.event_hub import EventHub
from kademlua.swarm.members import Member, SwarmRefusal

_POLL_INTERVAL = 0.1
"""Seconds between two writes of queued events."""
_MAX_QUEUED = 5_000
"""Maximum queued events for one client."""
_YIELD_EVERY = 500
"""Nodes serialized between two yields to the event loop."""


class SwarmNodesResource:
    """The nodes of the swarm."""

    def __init__(self, event_hub: EventHub) -> None:
        self._event_hub = event_hub

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send all nodes."""
        nodes = self._event_hub.nodes_json()
        parts = []
        for start in range(0, len(nodes), _YIELD_EVERY):
            parts.append(json.dumps(nodes[start : start + _YIELD_EVERY])[1:-1])
            gevent.sleep(0)
        resp.data = f'{{"nodes": [{", ".join(parts)}]}}'.encode()

    on_head = on_get


class SwarmChangeResource:
    """Kills or starts a node."""

    def __init__(self, change: Callable[[], Member]) -> None:
        self._change = change

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make the change and send the member."""
        try:
            member = self._change()
        except SwarmRefusal as error:
            raise falcon.HTTPConflict(description=str(error)) from None
        resp.data = json.dumps(member.json()).encode()


class SwarmEventsResource:
    """The events of all nodes."""

    def __init__(self, event_hub: EventHub) -> None:
        self._event_hub = event_hub
        self._stream_count = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send a stream until the client closes it."""
        if self._stream_count >= MAX_STREAMS:
            raise falcon.HTTPServiceUnavailable(description="too many listen already")
        resp.content_type = "text/event-stream"
        resp.cache_control = ["no-store"]
        if req.method == "GET":
            resp.stream = self._stream()

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send the header fields of the stream."""
        self.on_get(req, resp)

    def _stream(self) -> Iterator[bytes]:
        event_queue = _SwarmEventQueue()
        self._stream_count += 1
        self._event_hub.subscribe(event_queue)
        try:
            yield b"retry: 2000\n\n"
            while True:  # the write each second detects a closed connection
                frames = event_queue.drain()
                if frames:
                    yield frames
                gevent.sleep(_POLL_INTERVAL)
        finally:
            self._event_hub.unsubscribe(event_queue)
            self._stream_count -= 1


class _SwarmEventQueue:
    """Queues events for one client, up to a limit."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._skipped = 0

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        """Queue an event, or count it as skipped if the queue is full."""
        if len(self._queue) >= _MAX_QUEUED:
            self._skipped += 1
            return
        if name == "swarm":
            data = data | {"skipped": data["skipped"] + self._skipped}
            self._skipped = 0
        self._queue.append(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def drain(self) -> bytes:
        """Return and remove the frames of all queued events."""
        frames = b"".join(self._queue)
        self._queue.clear()
        return frames
