"""Bounded streams of server-sent events, of a node or a swarm."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from typing import Any

import falcon
import gevent

from kademlua.api.json_form import change_to_json
from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json
from kademlua.crypto.secret import Secret
from kademlua.node.node import Node
from kademlua.runtime.lookup_events import LookupEventEmitter
from kademlua.runtime.observers import LookupObserver, Observer
from kademlua.swarm.event_hub import EventHub

EVENT_KINDS = ("lookup", "contact", "value", "stats")
MAX_STREAMS = 16
EVENT_STREAM = "text/event-stream"
_POLL_INTERVAL = 0.1
"""Seconds between two writes of queued events."""
_POLLS_PER_SECOND = 10
_POLLS_PER_KEEPALIVE = 100
_KEEPALIVE = b": keepalive" + b" " * 4_096 + b"\n\n"
"""A comment. It is long, so that the buffers of a client that does not read are full within
minutes; the connection then ends."""
_MAX_QUEUED = 5_000
"""Maximum queued events for one client."""
_MAX_FRAMES_BYTES = 262_144
"""Bytes of changes of a key after which others wait for the next poll."""
_MAX_PER_SECOND = 200
"""Maximum contact and value events sent per second; further events are counted."""


class EventStreams:
    """Counts the streams of one server."""

    def __init__(self) -> None:
        self._count = 0

    def open(self, frames: Generator[bytes]) -> Iterator[bytes]:
        """Return a stream of frames of events.

        Raises:
            falcon.HTTPServiceUnavailable: ``MAX_STREAMS`` streams are open.
        """
        if self._count >= MAX_STREAMS:
            raise falcon.HTTPServiceUnavailable(description=f"{MAX_STREAMS} streams are open")
        return self._run(frames)

    def _run(self, frames: Generator[bytes]) -> Iterator[bytes]:
        self._count += 1
        try:
            yield b"retry: 2000\n\n"
            for polls, frame in enumerate(frames):
                if frame:
                    yield frame
                elif polls % _POLLS_PER_KEEPALIVE == 0:  # a write detects a closed connection
                    yield _KEEPALIVE
                gevent.sleep(_POLL_INTERVAL)
        finally:
            self._count -= 1
            frames.close()  # an exception may keep it alive


def node_frames(node: Node, kinds: set[str], lookups_per_second: int) -> Generator[bytes]:
    """Yield the events of some ``EVENT_KINDS`` since the last poll, until the node closes."""
    queue = _NodeEvents(kinds, lookups_per_second)
    node.observe(queue)
    try:
        for polls in itertools.count():
            if node.closed:
                return
            if polls % _POLLS_PER_SECOND == 0:
                queue.start_second(node)
            yield queue.drain()
    finally:
        node.unobserve(queue)


def watch_frames(node: Node, key: bytes, secret: Secret | None = None) -> Generator[bytes]:
    """Yield the changes of a key, or of its secret values, since the last poll, until the node
    closes."""
    values = node if secret is None else node.secret(secret)
    with values.watch(key) as watch:
        while not node.closed:
            frames = b""
            while len(frames) < _MAX_FRAMES_BYTES and (change := watch.next(0)) is not None:
                data = json.dumps(change_to_json(change))
                frames += f"event: {change.kind}\ndata: {data}\n\n".encode()
            yield frames


def swarm_frames(event_hub: EventHub) -> Generator[bytes]:
    """Yield the events of all nodes of a swarm since the last poll."""
    queue = _SwarmEvents()
    event_hub.subscribe(queue)
    try:
        while True:
            yield queue.drain()
    finally:
        event_hub.unsubscribe(queue)


class _Queue:
    """The events for one client, up to a limit."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self.skipped = 0
        """The number of events that were not sent."""

    @property
    def is_full(self) -> bool:
        """True if further events are skipped."""
        return len(self._frames) >= _MAX_QUEUED

    def add(self, event: str, data: Mapping[str, Any]) -> None:
        """Queue an event, or count it as skipped if the queue is full."""
        if self.is_full:
            self.skipped += 1
        else:
            self._frames.append(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def drain(self) -> bytes:
        """Return and remove the frames of all queued events."""
        frames = b"".join(self._frames)
        self._frames.clear()
        return frames


class _SwarmEvents(_Queue):
    """Queues the events of a swarm."""

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        """Queue an event; that of each second reports the skipped ones."""
        if name == "swarm" and not self.is_full:
            data = data | {"skipped": data["skipped"] + self.skipped}
            self.skipped = 0
        self.add(name, data)


class _NodeEvents(_Queue, Observer):
    """Queues the kinds of events that one client requested."""

    def __init__(self, kinds: set[str], lookups_per_second: int) -> None:
        super().__init__()
        self._kinds = kinds
        self._lookups_per_second = self._lookups_left = lookups_per_second
        self._others_left = _MAX_PER_SECOND
        self._last_lookup_id = 0

    def start_second(self, node: Node) -> None:
        """Reset the limits per second and add an event with statistics."""
        self._lookups_left = self._lookups_per_second
        self._others_left = _MAX_PER_SECOND
        if "stats" in self._kinds:
            self.add("stats", node.stats() | {"joined": node.joined, "skipped": self.skipped})

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Return an emitter for the lookup unless the limit per second is reached."""
        if "lookup" not in self._kinds:
            return None
        if self._lookups_left <= 0:
            self.skipped += 1
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
            self.skipped += 1
        return self._others_left >= 0
