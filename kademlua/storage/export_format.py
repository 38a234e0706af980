"""Values as JSON lines, to move them between nodes. Independent of LMDB.

The first line names the format; the last one has the number of values and a checksum of all lines
before it, so that an export that was cut off or changed is detected.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.errors import RecordRefused, StorageError, StoreRefused, WireError
from kademlua.core.ids import from_hex
from kademlua.core.values.sequence import MAX_SEQUENCE
from kademlua.core.values.store import Store, StoreEntry
from kademlua.core.wire import replies
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.time_slices import in_slices
from kademlua.values.admission import AdmissionPolicy

if TYPE_CHECKING:
    from kademlua.storage.lmdb_store import LmdbStore

EXPORT_FORMAT = "kademlua values"
EXPORT_VERSION = 2
"""Version 1 had no last line."""
MAX_LINE_CHARS = 100_000
"""Longest line of an export; a value has up to 60,000 bytes."""
MAX_VALUES = 10_000_000
"""Values in an export, at most."""
_VALUES_PER_COMMIT = 1_000


class StoredValue(NamedTuple):
    """A value that a node stores for its owner."""

    key: bytes
    owner: Contact
    encoded: bytes
    """The value, bencoded."""
    from_owner: bool
    """Whether the owner stored it here; otherwise another holder transferred it."""
    remaining_seconds: float
    """Seconds until it expires; expired at 0 or less."""
    seq: int = 0
    """The owner's sequence number."""


class ImportResult:
    """The result of an import so far."""

    def __init__(self) -> None:
        self.imported = 0
        self.expired = 0
        """The number of expired values."""
        self.refused: dict[str, int] = {}
        """The number of values that the store refused, by reason."""

    def count_refused(self, reason: str, count: int = 1) -> None:
        """Count refused values."""
        self.refused[reason] = self.refused.get(reason, 0) + count


def stored_values(
    store: Store, keys: Iterable[bytes], clock: Callable[[], float]
) -> Iterator[StoredValue]:
    """Yield the unexpired values of these keys; other greenlets run in between."""
    values = ((key, owner) for key in keys for owner in store.owners(key))
    for key, owner in in_slices(values, clock):
        entry = store.find(key, owner)
        if entry is not None:
            remaining_seconds = entry.expires_at - clock()
            if remaining_seconds > 0:
                yield StoredValue(
                    key, owner, entry.encoded, entry.from_owner, remaining_seconds, entry.seq
                )


def import_value(
    admission: AdmissionPolicy,
    stored_value: StoredValue,
    *,
    now: float,
    max_ttl: float,
    result: ImportResult,
) -> None:
    """Have a value admitted like one that a peer stores, and count the result."""
    key, owner, encoded, from_owner, remaining_seconds, seq = stored_value
    if remaining_seconds <= 0:
        result.expired += 1
        return
    expires_at = now + min(remaining_seconds, max_ttl)
    try:
        admission.admit(
            key, owner, StoreEntry(encoded, expires_at, now, seq, from_owner=from_owner)
        )
    except (StoreRefused, RecordRefused) as refusal:
        result.count_refused(refusal.reason)
    else:
        result.imported += 1


def to_json_lines(
    values: Iterable[StoredValue], wall_clock: Callable[[], float] = time.time
) -> Iterator[str]:
    """Yield the lines of an export: the first, one for each value, and the last."""
    digest = _Digest()
    yield digest.add(json.dumps({"format": EXPORT_FORMAT, "version": EXPORT_VERSION}))
    for key, owner, encoded, from_owner, remaining_seconds, seq in values:
        yield digest.add(
            json.dumps(
                {
                    "key": key.hex(),
                    "owner": {"id": owner.id.hex(), "address": owner.addr, "port": owner.port},
                    "ends": round(wall_clock() + remaining_seconds, 6),
                    "direct": from_owner,
                    "seq": seq,
                    "value": base64.b64encode(encoded).decode(),
                }
            )
        )
    yield json.dumps(digest.last_line)


class _Digest:
    """The checksum of the lines of an export."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._count = 0

    def add(self, line: str) -> str:
        self._sha256.update(line.encode(errors="replace") + b"\n")
        self._count += 1
        return line

    @property
    def last_line(self) -> dict[str, Any]:
        return {"values": self._count - 1, "sha256": self._sha256.hexdigest()}


def parse_json_lines(
    lines: Iterable[str], wall_clock: Callable[[], float] = time.time
) -> Iterator[StoredValue]:
    """Yield the values in lines of ``to_json_lines``.

    Raises:
        StorageError: a line is invalid, or lines are missing or were changed; values of lines
            before it were yielded.
    """
    digest = _Digest()
    number = version = 0
    has_ended = False
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_CHARS:
            raise StorageError(f"line {number} has more than {MAX_LINE_CHARS:,} characters")
        if number > MAX_VALUES + 2:
            raise StorageError(f"it has more than {MAX_VALUES:,} values")
        if has_ended:
            raise StorageError(f"line {number} follows the end of the export")
        try:
            fields = json.loads(line, parse_constant=_reject_constant)
            if number == 1:
                version = _check_format(fields)
            elif version > 1 and "sha256" in fields:
                has_ended = True
                _check_end(fields, digest.last_line)
            else:
                yield _parse_value(fields, wall_clock())
        except (
            ArithmeticError,
            KeyError,
            TypeError,
            ValueError,
            WireError,
            RecursionError,
        ) as error:
            if number == 1:
                raise StorageError('it is not a file of "kademlua export"') from None
            raise StorageError(f"line {number} is not a line of an export: {error!r:.80}") from None
        digest.add(line.rstrip("\n"))
    if number == 0:
        raise StorageError("it is empty, and not an export")
    if version > 1 and not has_ended:
        raise StorageError(f"it is cut off after line {number}: the last line is missing")


def import_lines(
    store: LmdbStore,
    lines: Iterable[str],
    *,
    max_ttl: float,
    clock: Callable[[], float] = boot_clock,
) -> ImportResult:
    """Put the values of JSON lines into a store; ``max_ttl`` limits their lives, in seconds.

    Raises:
        StorageError: a line is invalid, or a commit failed; values of earlier commits stay, and the
            message has their number.
    """
    result = ImportResult()
    admission = AdmissionPolicy(store, time.time)
    durable = 0
    try:
        for stored_value in parse_json_lines(lines):
            import_value(admission, stored_value, now=clock(), max_ttl=max_ttl, result=result)
            if result.imported - durable == _VALUES_PER_COMMIT:
                _wait_durable(store)
                durable = result.imported
        _wait_durable(store)
    except StorageError as error:
        raise StorageError(f"{error}; {describe_imported(durable)}") from None
    return result


def describe_imported(count: int) -> str:
    """Return how much of an export was imported before an error."""
    return f"{count:,} values were imported before" if count else "nothing was imported"


def _check_format(fields: dict[str, Any]) -> int:
    """Return the version that the first line declares."""
    if fields["format"] != EXPORT_FORMAT:
        raise ValueError(fields["format"])
    version = fields["version"]
    if type(version) is not int or not 1 <= version <= EXPORT_VERSION:
        raise StorageError(f"it has version {version}, this Kademlua reads up to {EXPORT_VERSION}")
    return version


def _check_end(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare the last line with the lines before it."""
    missing = fields["values"] - expected["values"]
    if missing > 0:
        raise StorageError(f"{missing:,} of {fields['values']:,} values are missing")
    if fields != expected:
        raise StorageError("its checksum is wrong: lines were changed or added")


def _reject_constant(name: str) -> None:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(name)


def _parse_value(fields: dict[str, Any], wall_now: float) -> StoredValue:
    owner = fields["owner"]
    address, port, ends = owner["address"], owner["port"], fields["ends"]
    if type(address) is not str or type(port) is not int or type(ends) not in (int, float):
        raise TypeError("owner or ends")
    if not math.isfinite(ends):
        raise ValueError("ends")
    encoded = base64.b64decode(fields["value"], validate=True)
    if replies.encode_value(replies.decode_value(encoded)) != encoded:
        raise ValueError("value")
    return StoredValue(
        from_hex(fields["key"]),
        Contact(address, port, from_hex(owner["id"])),
        encoded,
        fields["direct"] is True,
        ends - wall_now,
        _checked_seq(fields.get("seq", 0)),
    )


def _checked_seq(seq: Any) -> int:
    if type(seq) is not int or not 0 <= seq <= MAX_SEQUENCE:
        raise ValueError("seq")
    return seq


def _wait_durable(store: LmdbStore) -> None:
    reasons: list[str | None] = []
    store.when_durable(reasons.append)
    store.flush()
    if reasons != [None]:
        raise StorageError(f"the values can't be kept: {reasons[0]}")
