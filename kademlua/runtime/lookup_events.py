"""The steps of a lookup as JSON events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json
from kademlua.runtime.observers import LookupObserver


class LookupEventEmitter(LookupObserver):
    """Emits one lookup as named events with JSON data."""

    def __init__(self, sink: Callable[[str, dict[str, Any]], None], lookup_id: int | str) -> None:
        """Create an emitter; ``sink`` receives each event, with ``lookup_id`` as ``lookup``."""
        self._sink = sink
        self._lookup_id = lookup_id
        self._started_at = time.monotonic()

    def start(self, rpc_name: str, target: bytes, purpose: str, **extra_fields: Any) -> None:
        """Emit the first event of the lookup."""
        self._emit(
            "lookup-began",
            {"target": target.hex(), "rpc": rpc_name, "cause": purpose} | extra_fields,
        )

    def _emit(self, event: str, data: dict[str, Any]) -> None:
        self._sink(event, {"lookup": self._lookup_id} | data)

    def on_seeded(self, contacts: list[Contact]) -> None:
        self._emit("lookup-seeded", {"contacts": [each.id.hex() for each in contacts]})

    def on_query(self, contact: Contact) -> None:
        self._emit_step("lookup-queried", contact)

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        ids = [each.id.hex() for each in contacts]
        self._emit_step("lookup-answered", contact, reported=ids)

    def on_failure(self, contact: Contact) -> None:
        self._emit_step("lookup-failed", contact)

    def on_finished(self) -> None:
        self._emit("lookup-ended", {"seconds": self._seconds()})

    def _emit_step(self, event: str, contact: Contact, **extra_fields: Any) -> None:
        fields = {"contact": contact_to_json(contact), "seconds": self._seconds()}
        self._emit(event, fields | extra_fields)

    def _seconds(self) -> float:
        """Return the time since the lookup started."""
        return round(time.monotonic() - self._started_at, 6)
