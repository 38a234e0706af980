"""How a lookup goes, as events of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_json
from kademlua.runtime.observers import LookupObserver


class LookupEvents(LookupObserver):
    """One lookup as events, each with a name and what JSON has."""

    def __init__(self, note: Callable[[str, dict[str, Any]], None], number: int | str) -> None:
        """``note`` takes the events, in all of which ``number`` is ``lookup``."""
        self._tell = note
        self._number = number
        self._began = time.monotonic()

    def begin(self, name: str, target: bytes, cause: str, **more: Any) -> None:
        """Tell that it begins."""
        self._note("lookup-began", {"target": target.hex(), "rpc": name, "cause": cause} | more)

    def _note(self, name: str, data: dict[str, Any]) -> None:
        self._tell(name, {"lookup": self._number} | data)

    def seeded(self, contacts: list[Contact]) -> None:
        self._note("lookup-seeded", {"contacts": [each.id.hex() for each in contacts]})

    def queried(self, contact: Contact) -> None:
        self._note("lookup-queried", {"contact": contact_json(contact)})

    def answered(self, contact: Contact, told: list[Contact]) -> None:
        ids = [each.id.hex() for each in told]
        self._note("lookup-answered", {"contact": contact_json(contact), "told": ids})

    def failed(self, contact: Contact) -> None:
        self._note("lookup-failed", {"contact": contact_json(contact)})

    def ended(self) -> None:
        self._note("lookup-ended", {"seconds": round(time.monotonic() - self._began, 6)})
