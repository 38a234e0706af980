"""Reads tables of TOML files into checked values; unknown keys are errors.

A parser returns the checked value of a key. It raises ValueError with the rest of a sentence
("must be …"), to which the table adds the file and the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeVar

from kademlua.core.durations import MAX_SECONDS, format_duration, parse_duration
from kademlua.core.errors import KademluaError

_PER_SECOND = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*s")

T = TypeVar("T")


class ScenarioError(KademluaError):
    """An invalid scenario; the message names the file, the key and the problem."""


def setting(parse: Callable[..., Any], default: Any = None, **limits: Any) -> Any:
    """Return a dataclass field for ``TomlTable.read``, whose values ``parse`` checks.

    Without a default its key is required. ``limits`` are further arguments of ``parse``.
    """
    metadata = {"parse": partial(parse, **limits)}
    if default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class TomlTable:
    """One table of a TOML file. Its methods raise ScenarioError for what the file lacks."""

    def __init__(self, values: object, source: str, path: str = "") -> None:
        """Read the table at ``path`` (with its final dot) of the file ``source``."""
        if not isinstance(values, Mapping):
            raise ScenarioError(f"{source}: {path.rstrip('.')}: must be a table")
        self.values: dict[str, object] = dict(values)
        self._source = source
        self._path = path
        self._known_keys: list[str] = []
        self._subtables: list[TomlTable] = []

    def error(self, key: str, message: str) -> ScenarioError:
        """Return the error to raise about a key."""
        return ScenarioError(f"{self._source}: {self._path}{key}: {message}")

    def has(self, key: str) -> bool:
        """Return whether the table contains a key."""
        self._known_keys.append(key)
        return key in self.values

    def get(self, key: str, parse: Callable[..., T], default: T | None = None, **limits: Any) -> T:
        """Return the value of a key; without a default the key is required."""
        if not self.has(key):
            if default is None:
                raise self.error(key, "is missing")
            return default
        try:
            return parse(self.values[key], **limits)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def read(self, kind: type[T], **parsers: Callable[..., Any]) -> T:
        """Return a dataclass of ``setting`` fields; ``parsers`` replace those of the fields."""
        values = {}
        for spec in dataclasses.fields(kind):  # type: ignore[arg-type]  # T is a dataclass
            default = None if spec.default is dataclasses.MISSING else spec.default
            parse = parsers.get(spec.name, spec.metadata["parse"])
            values[spec.name] = self.get(spec.name, parse, default)
        return kind(**values)

    def table(self, key: str) -> TomlTable:
        """Return a subtable, default empty."""
        return self._add_subtable(self.values[key] if self.has(key) else {}, key)

    def tables(self, key: str) -> list[TomlTable]:
        """Return the tables of an array of tables, ``[[key]]``."""
        values = self.values[key] if self.has(key) else []
        if not isinstance(values, list):
            raise self.error(key, f"must be written as [[{key}]]")
        return [
            self._add_subtable(each, f"{key}[{number}]")
            for number, each in enumerate(values, start=1)
        ]

    def refuse_unknown_keys(self) -> None:
        """Raise ScenarioError for the first key that was not read, here or in a subtable."""
        for subtable in self._subtables:
            subtable.refuse_unknown_keys()
        for key in self.values:
            if key not in self._known_keys:
                suggestions = difflib.get_close_matches(key, self._known_keys, 1)
                hint = f", did you mean {suggestions[0]}?" if suggestions else ""
                raise self.error(key, f"unknown key{hint}")

    def _add_subtable(self, values: object, name: str) -> TomlTable:
        self._subtables.append(TomlTable(values, self._source, f"{self._path}{name}."))
        return self._subtables[-1]


# Parsers.


def text(value: object) -> str:
    """Return a string that is not blank, without surrounding spaces."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text, not {value!r:.60}")
    return value.strip()


def one_of(value: object, allowed: Collection[str]) -> str:
    """Return one of the ``allowed`` strings."""
    if text(value) not in allowed:
        raise ValueError(f"must be {' or '.join(allowed)}, not {value!r:.60}")
    return text(value)


def some_of(values: object, allowed: Collection[str]) -> tuple[str, ...]:
    """Return a list of at least one of the ``allowed`` strings."""
    if not isinstance(values, list) or not all(value in allowed for value in values):
        raise ValueError(f"must be a list of {', '.join(allowed)}, not {values!r:.60}")
    if not values:
        raise ValueError("must name at least one")
    return tuple(values)


def boolean(value: object) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r:.60}")
    return value


def integer(value: object, low: int, high: int) -> int:
    """Return a whole number from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {value!r:.60}")
    if not low <= value <= high:
        raise ValueError(f"must be {low:,} to {high:,}, not {value:,}")
    return value


def number(value: object, low: float, high: float) -> float:
    """Return a number from ``low`` to ``high``."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"must be a number, not {value!r:.60}")
    if not low <= value <= high:
        raise ValueError(f"must be {low:,g} to {high:,g}, not {value!r:.60}")
    return float(value)


fraction = partial(number, low=0, high=1)


def seconds(value: object, low: float = 0.0, high: float = MAX_SECONDS) -> float:
    """Return a duration from ``low`` to ``high`` seconds."""
    duration = parse_duration(value)
    if not low <= duration <= high:
        bounds = f"{format_duration(low) if low else 0} to {format_duration(high)}"
        raise ValueError(f"must be {bounds}, not {value!r:.60}")
    return duration


def count(value: object, duration: float = 0.0) -> int:
    """Return a count; a rate such as ``5/s`` counts for ``duration`` seconds."""
    if isinstance(value, str):
        match = _PER_SECOND.fullmatch(value.strip())
        if match is None:
            raise ValueError(f'must be a whole number or like "5/s", not {value!r:.60}')
        value = round(float(match[1]) * duration)
    return integer(value, low=0, high=10_000_000)
