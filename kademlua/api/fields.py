"""The forms of JSON: what a request says, checked field by field, and what an answer shows.

A key or an id is 40 hex digits; a value is bencoded and in base64, so that each kind of value
comes back as it went in; a time is in seconds.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError
from kademlua.core.ids import from_hex
from kademlua.core.json_codec import contact_json
from kademlua.core.results import StoreReport
from kademlua.core.wire import bencoding, replies
from kademlua.storage.export_format import Held


class BadRequest(KademluaError):
    """A request makes no sense; the message names the field."""


def packed_value(value: Any) -> str:
    """A value as it stands in JSON; TypeError for what bencoding has no form for."""
    return packed_bytes(replies.encode_value(value))


def packed_bytes(encoded: bytes) -> str:
    """A value that is bencoded already, as it stands in JSON."""
    return base64.b64encode(encoded).decode()


def unpacked_value(text: str) -> Any:
    """The value that ``packed_value`` was given; ValueError or WireError for anything else."""
    return bencoding.decode(base64.b64decode(text, validate=True))


def report_json(key: bytes, report: StoreReport) -> dict[str, Any]:
    """What became of a store: the contacts that took it, refused it, or did not answer."""
    return {
        "key": key.hex(),
        "stored": [contact_json(each) for each in report.acknowledged],
        "refused": [contact_json(each) | {"reason": reason} for each, reason in report.refused],
        "silent": [contact_json(each) for each in report.silent],
    }


def held_json(held: Held) -> dict[str, Any]:
    """A value that is kept, with whose it is."""
    return {
        "key": held.key.hex(),
        "owner": contact_json(held.owner),
        "value": packed_bytes(held.encoded),
        "direct": held.is_direct,
        "left": round(held.left, 6),
    }


class Fields:
    """The fields of one request. Each is read once; ``end`` complains of those that nobody
    asked for. All raise BadRequest."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def end(self) -> None:
        """There are no others."""
        for name in self._left:
            raise BadRequest(f"there is no field {name!r:.40} here")

    def key(self) -> bytes:
        """The field ``key``: 20 bytes."""
        return _id("key", self._needed("key"))

    def value(self) -> Any:
        """The field ``value``: int, bytes, list or dict."""
        return _decoded(self._needed("value"))[1]

    def seconds(self, name: str) -> float | None:
        """A time; None where it is left out."""
        given = self._left.pop(name, None)
        return None if given is None else _seconds(name, given)

    def count(self, name: str, default: int) -> int:
        """A number from 1 on."""
        given = self._left.pop(name, default)
        if type(given) is not int or not 1 <= given < 1 << 63:
            raise BadRequest(f"{name!r} is a number from 1 on, not {given!r:.40}")
        return given

    def flag(self, name: str) -> bool:
        """True or false, which it is where it is left out."""
        given = self._left.pop(name, False)
        if type(given) is not bool:
            raise BadRequest(f"{name!r} is true or false, not {given!r:.40}")
        return given

    def text(self, name: str) -> str:
        """A text."""
        return _text(name, self._needed(name))

    def contacts_address(self) -> tuple[str, int]:
        """The fields ``address`` and ``port``, as a contact has them; the address is an IP
        address."""
        address = _text("address", self._needed("address"))
        try:
            return Contact(address, _port(self._needed("port")), bytes(20)).endpoint
        except ValueError as error:
            raise BadRequest(f"no address: {error}") from None

    def held(self) -> list[Held]:
        """The field ``values``: what ``held_json`` makes."""
        rows = self._needed("values")
        if not isinstance(rows, list):
            raise BadRequest(f"'values' is a list, not {rows!r:.40}")
        return [held_of_json(row) for row in rows]

    def _needed(self, name: str) -> Any:
        try:
            return self._left.pop(name)
        except KeyError:
            raise BadRequest(f"the field {name!r} is missing") from None


def held_of_json(row: Any) -> Held:
    """What ``held_json`` was given; BadRequest for anything else."""
    if not isinstance(row, dict):
        raise BadRequest(f"a value that is kept is an object, not {row!r:.40}")
    try:
        owner = row["owner"]
        contact = Contact(
            _text("address", owner["address"]), _port(owner["port"]), _id("id", owner["id"])
        )
        return Held(
            _id("key", row["key"]),
            contact,
            _decoded(row["value"])[0],
            row["direct"] is True,
            _seconds("left", row["left"]),
        )
    except KeyError as error:
        raise BadRequest(f"the field {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise BadRequest(f"no owner: {error!s:.80}") from None


def _id(name: str, given: Any) -> bytes:
    try:
        return from_hex(_text(name, given))
    except ValueError:
        raise BadRequest(f"{name!r} is 40 hex digits, not {given!r:.60}") from None


def _decoded(given: Any) -> tuple[bytes, Any]:
    """A value bencoded, and as it is."""
    try:
        encoded = base64.b64decode(_text("value", given), validate=True)
        return encoded, bencoding.decode(encoded)
    except (ValueError, KademluaError) as error:
        raise BadRequest(f"'value' is bencoded and in base64: {error}") from None


def _text(name: str, given: Any) -> str:
    if not isinstance(given, str):
        raise BadRequest(f"{name!r} is a text, not {given!r:.40}")
    return given


def _port(given: Any) -> int:
    if type(given) is not int:
        raise BadRequest(f"'port' is a number, not {given!r:.40}")
    return given


def _seconds(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadRequest(f"{name!r} is a number of seconds, not {given!r:.40}")
    try:
        seconds = float(given)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadRequest(f"{name!r} is a number of seconds")
    return seconds
