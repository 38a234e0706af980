"""A checked reader for TOML tables: values are read by name, and unknown keys are errors."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from kademlua.core.durations import _MAX_SECONDS, format_duration, parse_duration
from kademlua.core.errors import KademluaError

_PER_SECOND = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*s")


class ScenarioError(KademluaError):
    """An invalid scenario; the message names the file, the key and the problem."""


class TomlTable:
    """One table of a TOML file; reading a key makes it known to ``finish``.

    All readers raise ScenarioError for a missing key without default and an invalid value.
    """

    def __init__(self, values: object, source: str, path: str = "") -> None:
        """Read the table at ``path`` (with its final dot) of the file ``source``."""
        self._source = source
        self._path = path
        if not isinstance(values, Mapping):
            raise ScenarioError(f"{source}: {path.rstrip('.')}: must be a table")
        self._values: dict[str, object] = dict(values)
        self._known_keys: list[str] = []

    def error(self, key: str, message: str) -> ScenarioError:
        """Return the error to raise about a key."""
        return ScenarioError(f"{self._source}: {self._path}{key}: {message}")

    def has(self, key: str) -> bool:
        """Return whether the table contains a key."""
        return key in self._values

    def finish(self) -> None:
        """Raise ScenarioError for the first key that was not read."""
        for key in self._values:
            if key not in self._known_keys:
                suggestions = difflib.get_close_matches(key, self._known_keys, 1)
                hint = f", did you mean {suggestions[0]}?" if suggestions else ""
                raise self.error(key, f"unknown key{hint}")

    def text(self, key: str, default: str | None = None, one_of: tuple[str, ...] = ()) -> str:
        """Return a string that is not blank."""
        value = self._get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be text, not {value!r:.60}")
        if one_of and value not in one_of:
            raise self.error(key, f"must be {' or '.join(one_of)}, not {value!r:.60}")
        return value.strip()

    def text_list(
        self, key: str, default: tuple[str, ...], one_of: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return a list of strings from ``one_of``."""
        values = self._get(key, list(default))
        if not isinstance(values, list) or not all(value in one_of for value in values):
            raise self.error(key, f"must be a list of {', '.join(one_of)}, not {values!r:.60}")
        return tuple(values)

    def integer(self, key: str, default: int | None, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``."""
        return self._check_integer(key, self._get(key, default), low, high)

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        value = self._get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.error(key, f"must be a number, not {value!r:.60}")
        if math.isnan(value) or not low <= value <= high:
            raise self.error(key, f"must be {low:,g} to {high:,g}, not {value!r:.60}")
        return float(value)

    def fraction(self, key: str, default: float | None = None) -> float:
        """Return a number from 0 to 1."""
        return self.number(key, default, 0.0, 1.0)

    def seconds(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = 0.0,
        high: float = _MAX_SECONDS,
    ) -> float:
        """Return a duration in seconds, from ``low`` to ``high``."""
        value = self._get(key, default)
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            raise self.error(key, str(error)) from None
        if not low <= seconds <= high:
            bounds = f"{format_duration(low) if low else 0} to {format_duration(high)}"
            raise self.error(key, f"must be {bounds}, not {value!r:.60}")
        return seconds

    def integer_or_rate(self, key: str, seconds: float) -> int:
        """Return an integer; a rate such as ``5/s`` counts for ``seconds``."""
        value = self._get(key, 0)
        if isinstance(value, str):
            match = _PER_SECOND.fullmatch(value.strip())
            if match is None:
                raise self.error(key, f'must be a whole number or like "5/s", not {value!r:.60}')
            value = round(float(match[1]) * seconds)
        return self._check_integer(key, value, 0, 10_000_000)

    def boolean(self, key: str) -> bool:
        """Return a boolean, default False."""
        value = self._get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r:.60}")
        return value

    def table(self, key: str) -> TomlTable:
        """Return a subtable, default empty."""
        return TomlTable(self._get(key, {}), self._source, f"{self._path}{key}.")

    def tables(self, key: str) -> list[TomlTable]:
        """Return the tables of an array of tables, ``[[key]]``."""
        values = self._get(key, [])
        if not isinstance(values, list):
            raise self.error(key, f"must be written as [[{key}]]")
        return [
            TomlTable(each, self._source, f"{self._path}{key}[{number}].")
            for number, each in enumerate(values, start=1)
        ]

    def unchecked_values(self) -> dict[str, object]:
        """Return all keys unchecked, for a reader that checks them itself."""
        self._known_keys.extend(self._values)
        return dict(self._values)

    def _check_integer(self, key: str, value: object, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, f"must be a whole number, not {value!r:.60}")
        if not low <= value <= high:
            raise self.error(key, f"must be {low:,} to {high:,}, not {value:,}")
        return value

    def _get(self, key: str, default: Any) -> object:
        self._known_keys.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise self.error(key, "is missing")
        return default
