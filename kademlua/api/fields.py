"""Validation of the JSON fields of a request; ``json_form`` builds the results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kademlua.api.text_keys import TextKeys
from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError
from kademlua.core.ids import from_hex, sha1
from kademlua.core.json_codec import value_from_json
from kademlua.core.values.sequence import MAX_SEQUENCE
from kademlua.core.wire import replies
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.export_format import StoredValue

T = TypeVar("T")


class BadRequest(KademluaError):
    """A request is invalid; the message names the field."""


class Fields:
    """The fields of one request. Each can be read once.

    Every method raises BadRequest if its field is missing or invalid.
    """

    def __init__(self, raw_fields: Mapping[str, Any], text_keys: TextKeys | None = None) -> None:
        """Read these fields; ``text_keys`` learns the texts of keys."""
        self._unread = dict(raw_fields)
        self._text_keys = text_keys

    def __contains__(self, name: str) -> bool:
        return name in self._unread

    def reject_unknown(self) -> None:
        """Raise BadRequest if a field was not read."""
        for name in self._unread:
            raise BadRequest(f"there is no field {name!r:.40} here")

    def key(self) -> bytes:
        """Return the field ``key``, 20 bytes, of which ``text`` may be the text."""
        key = _parse_id("key", self._require("key"))
        if "text" in self:
            text = self.text("text")
            if sha1(text.encode(errors="replace")) != key:
                raise BadRequest("'text' is not the text of 'key'")
            if self._text_keys is not None:
                self._text_keys.learn(text)
        return key

    def value(self) -> Any:
        """Return the field ``value``: int, bytes, list or dict."""
        return _parse_value(self._require("value"))

    def seconds(self, name: str) -> float | None:
        """Return an optional duration in seconds."""
        raw = self._unread.pop(name, None)
        return None if raw is None else _parse_seconds(name, raw)

    def count(self, name: str, default: int) -> int:
        """Return an optional integer of at least 1."""
        raw = self._unread.pop(name, default)
        if type(raw) is not int or not 1 <= raw < 1 << 63:
            raise BadRequest(f"{name!r} is a number from 1 on, not {raw!r:.40}")
        return raw

    def flag(self, name: str) -> bool:
        """Return an optional boolean, default False."""
        return _check_type(name, self._unread.pop(name, False), bool, "true or false")

    def text(self, name: str) -> str:
        """Return a required string."""
        return _parse_text(name, self._require(name))

    def endpoint(self) -> tuple[str, int]:
        """Return the fields ``address``, an IP address, and ``port``."""
        address = _parse_text("address", self._require("address"))
        try:
            return Contact(address, _parse_port(self._require("port")), bytes(20)).endpoint
        except ValueError as error:
            raise BadRequest(f"no address: {error}") from None

    def stored_values(self, clock: Callable[[], float] = boot_clock) -> list[StoredValue]:
        """Return the field ``values``, a list in the form of ``stored_value_to_json``.

        Other greenlets run in between; see ``in_slices``.
        """
        rows = _check_type("values", self._require("values"), list, "a list")
        return [stored_value_from_json(row) for row in in_slices(rows, clock)]

    def keys(self, name: str) -> list[bytes]:
        """Return a list of keys of 20 bytes."""
        rows = _check_type(name, self._require(name), list, "a list")
        return [_parse_id(name, each) for each in rows]

    def pairs(self, name: str) -> list[tuple[bytes, Any]]:
        """Return a list of pairs: a key of 20 bytes, and a value."""
        rows = _check_type(name, self._require(name), list, "a list")
        if not all(isinstance(each, list) and len(each) == 2 for each in rows):
            raise BadRequest(f"{name!r} is a list of pairs")
        return [(_parse_id(name, key), _parse_value(value)) for key, value in rows]

    def _require(self, name: str) -> Any:
        try:
            return self._unread.pop(name)
        except KeyError:
            raise BadRequest(f"the field {name!r} is missing") from None


def stored_value_from_json(row: Any) -> StoredValue:
    """Return the value that ``stored_value_to_json`` converted.

    Raises:
        BadRequest: A field is missing or invalid.
    """
    if not isinstance(row, dict):
        raise BadRequest(f"a value that is kept is an object, not {row!r:.40}")
    try:
        owner = row["owner"]
        contact = Contact(
            _parse_text("address", owner["address"]),
            _parse_port(owner["port"]),
            _parse_id("id", owner["id"]),
        )
        return StoredValue(
            _parse_id("key", row["key"]),
            contact,
            replies.encode_value(_parse_value(row["value"])),
            row["from_owner"] is True,
            _parse_seconds("remaining_seconds", row["remaining_seconds"]),
            _parse_seq(row.get("seq", 0)),
        )
    except KeyError as error:
        raise BadRequest(f"the field {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise BadRequest(f"no owner: {error!s:.80}") from None


def _parse_id(name: str, raw: Any) -> bytes:
    try:
        return from_hex(_parse_text(name, raw))
    except ValueError:
        raise BadRequest(f"{name!r} is 40 hex digits, not {raw!r:.60}") from None


def _parse_value(raw: Any) -> Any:
    try:
        return value_from_json(raw)
    except ValueError as error:
        raise BadRequest(f"'value' is invalid: {error}") from None


def _parse_text(name: str, raw: Any) -> str:
    return _check_type(name, raw, str, "a text")


def _parse_seq(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SEQUENCE:
        raise BadRequest("the field 'seq' is not a number from 0 to 2**63 - 1")
    return value


def _parse_port(raw: Any) -> int:
    return _check_type("port", raw, int, "a number")


def _check_type(name: str, raw: Any, expected: type[T], description: str) -> T:
    if type(raw) is not expected:
        raise BadRequest(f"{name!r} is {description}, not {raw!r:.40}")
    return raw


def _parse_seconds(name: str, raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise BadRequest(f"{name!r} is a number of seconds, not {raw!r:.40}")
    try:
        seconds = float(raw)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadRequest(f"{name!r} is a number of seconds")
    return seconds
