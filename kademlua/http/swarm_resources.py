"""A swarm over HTTP: its nodes, what happens among them, and one that dies or comes."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import falcon
import gevent

from kademlua.http.event_stream import MAX_STREAMS
from kademlua.swarm.event_hub import Watch
from kademlua.swarm.members import Member, SwarmRefusal

_TURN = 0.1
"""Seconds between two looks at what happened."""
_QUEUE = 5_000
"""Events that wait for one client, at most."""
_AT_ONCE = 500
"""Nodes that are written in a turn of the loop: some 2 ms."""


class SwarmNodes:
    """All nodes."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Who is there."""
        nodes = self._watch.nodes_json()
        parts = []
        for begin in range(0, len(nodes), _AT_ONCE):
            parts.append(json.dumps(nodes[begin : begin + _AT_ONCE])[1:-1])
            gevent.sleep(0)
        resp.data = f'{{"nodes": [{", ".join(parts)}]}}'.encode()

    on_head = on_get


class SwarmChange:
    """A node dies, or comes."""

    def __init__(self, change: Callable[[], Member]) -> None:
        self._change = change

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Have it so; who it is."""
        try:
            member = self._change()
        except SwarmRefusal as error:
            raise falcon.HTTPConflict(description=str(error)) from None
        resp.data = json.dumps(member.json()).encode()


class SwarmEvents:
    """What happens among the nodes, as it happens."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._open = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A stream that goes on until the client ends it."""
        if self._open >= MAX_STREAMS:
            raise falcon.HTTPServiceUnavailable(description="too many listen already")
        resp.content_type = "text/event-stream"
        resp.cache_control = ["no-store"]
        if req.method == "GET":
            resp.stream = self._frames()
            req.env["kademlua.lasts"]()

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Only the head of it."""
        self.on_get(req, resp)

    def _frames(self) -> Iterator[bytes]:
        listener = _Listener()
        self._open += 1
        self._watch.listen(listener)
        try:
            yield b"retry: 2000\n\n"
            while True:  # each second there is something to write, so that its end shows
                frames = listener.take()
                if frames:
                    yield frames
                gevent.sleep(_TURN)
        finally:
            self._watch.unlisten(listener)
            self._open -= 1


class _Listener:
    """Writes down, within bounds, what one client is to hear."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self._skipped = 0

    def hear(self, name: str, data: dict[str, Any]) -> None:
        """Write an event down, if it still fits."""
        if len(self._queue) >= _QUEUE:
            self._skipped += 1
            return
        if name == "swarm":
            data = data | {"skipped": data["skipped"] + self._skipped}
            self._skipped = 0
        self._queue.append(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def take(self) -> bytes:
        """The frames of all that was written down since the last time."""
        frames = b"".join(self._queue)
        self._queue.clear()
        return frames
