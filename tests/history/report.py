"""Reports of violations: what is wrong, and what happened to the key."""

from __future__ import annotations

from tests.history.model import Find, History, Write
from tests.history.rules import Violation

_LINES = 60


def describe(violation: Violation, history: History) -> str:
    """Return a violation with the history of its key, the latest lines before it."""
    rows = [(each.started, _write_line(each)) for each in history.writes_of(violation.key)]
    rows += [
        (each.started, _find_line(each)) for each in history.finds if each.key == violation.key
    ]
    rows += [(at, f"        {text}") for at, text in history.notes]
    lines = [f"{at:9.2f} {text}" for at, text in sorted(rows) if at <= violation.at]
    heading = f"{violation.rule}: {violation.text}\n  key {violation.key}"
    return "\n".join([heading, *("  " + each for each in lines[-_LINES:])])


def _write_line(write: Write) -> str:
    outcome = write.error or f"acknowledged by {_short(write.acknowledged)}"
    if others := write.informed - write.acknowledged:
        outcome += f", told {_short(others)}"
    details = f" seq {write.seq}" * bool(write.seq) + f" ttl {write.ttl:g}" * bool(write.ttl)
    text = f"{write.kind.value} {write.value!r}{details} by {write.owner[:8]}"
    return f"{text} until {write.ended:.2f}: {outcome}"


def _find_line(find: Find) -> str:
    shown = "; ".join(
        f"{name[:8]} {' '.join(value.decode() for value in values)}"
        for name, values in find.shown.items()
    )
    kind = "find" if find.is_exhaustive else "find of 3"
    return f"{kind} by {find.reader[:8]} until {find.ended:.2f}: {find.error or shown or 'nothing'}"


def _short(names: frozenset[str]) -> str:
    return " ".join(sorted(each[:8] for each in names)) or "none"
