"""RecordFilter: the values found by a lookup that may be returned.

It checks each record once, and removes all other values next to a genuine one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from kademlua.core.errors import RecordExpired, RecordRefused, RecordStale
from kademlua.core.values import records
from kademlua.core.values.records import SignedRecord, VerifySignature
from kademlua.core.wire import bencoding

ValueFilter = Callable[[list[Any]], list[Any]]
"""Takes the plain values in one reply, and returns the accepted ones."""

_MAX_CHECKED: Final = 8
"""Records checked in one reply. An honest reply has one, and each costs a signature check."""

NO_RECORD: Final = "not the value of its key"
"""The reason of a plain value that was found where only a record counts."""


class RecordFilter:
    """The accepted values of the replies to one findvalue."""

    def __init__(
        self,
        key: bytes,
        *,
        verify: VerifySignature,
        wall_clock: Callable[[], float],
        only_records: bool = False,
        min_seq: int = 0,
        value_filter: ValueFilter | None = None,
    ) -> None:
        """Prepare to filter the values of a key.

        Args:
            wall_clock: Returns seconds since 1970.
            only_records: Reject plain values.
            min_seq: Signed records with a lower sequence number are stale.
            value_filter: Chooses among the plain values of a reply.
        """
        self._key = key
        self._verify = verify
        self._wall_clock = wall_clock
        self.only_records = only_records
        self._min_seq = min_seq
        self._value_filter = value_filter
        self._verdicts: dict[bytes, SignedRecord | RecordRefused] = {}
        """Results of checks, by the record's bytes."""
        self.signed_record: SignedRecord | None = None
        """The newest genuine signed record."""
        self.immutable: bytes | None = None
        """The immutable record, bencoded."""
        self.highest_seq: int | None = None
        """The highest sequence number that was signed, even if its record has expired."""
        self.rejected: Counter[str] = Counter()
        """The number of rejected records, by reason."""
        self.rejection: RecordRefused | None = None
        """Why a record was rejected; expiry and staleness take precedence."""

    @property
    def has_record(self) -> bool:
        """Whether a genuine record was found."""
        return self.signed_record is not None or self.immutable is not None

    def filter(self, values: list[Any]) -> list[Any]:
        """Return the accepted values of one reply: the record, or the plain values."""
        plain: list[Any] = []
        found: Any = None
        newest: SignedRecord | None = None
        count = 0
        for value in values:
            encoded = _encode(value)
            if records.is_immutable(self._key, encoded):
                self.immutable = encoded
                return [value]
            if not isinstance(value, dict) or b"sig" not in value:
                plain.append(value)
                continue
            record = records.parse_signed(encoded)
            if record is None:
                plain.append(value)
                continue
            count += 1
            if count > _MAX_CHECKED or not self._check_cached(encoded, record):
                continue
            if newest is None or _precedence(record) > _precedence(newest):
                newest, found = record, value
        if newest is not None:
            if self.signed_record is None or _precedence(newest) > _precedence(self.signed_record):
                self.signed_record = newest
            return [found]
        if self.only_records:
            if plain:
                self.rejected[NO_RECORD] += len(plain)
            return []
        return plain if self._value_filter is None else self._value_filter(plain)

    def is_current(self, values: list[Any]) -> bool:
        """Return whether accepted values still hold after all replies.

        A plain value next to a record and a stale record do not.
        """
        if not self.has_record:
            return True
        encoded = _encode(values[0])
        if self.immutable is not None:
            return encoded == self.immutable
        assert self.signed_record is not None
        return encoded == self.signed_record.encoded

    def _check_cached(self, encoded: bytes, record: SignedRecord) -> bool:
        verdict = self._verdicts.get(encoded)
        if verdict is None:
            try:
                self._check(record)
                verdict = record
            except RecordRefused as refusal:
                verdict = refusal
                if self.rejection is None or isinstance(refusal, (RecordExpired, RecordStale)):
                    self.rejection = refusal
            self._verdicts[encoded] = verdict
        if isinstance(verdict, RecordRefused):
            self.rejected[verdict.reason] += 1
            return False
        return True

    def _check(self, record: SignedRecord) -> None:
        records.check_key(record, self._key)
        records.check_signature(record, self._verify)
        self.highest_seq = max(record.seq, self.highest_seq or 0)
        if record.expires_at is not None and record.expires_at <= self._wall_clock():
            raise RecordExpired
        if record.seq < self._min_seq:
            raise RecordStale


def _encode(value: Any) -> bytes:
    if type(value) is bytes:  # the usual case
        return b"%d:%b" % (len(value), value)
    return bencoding.encode(value)


def _precedence(record: SignedRecord) -> tuple[int, bytes]:
    """Return a sort key for records, so that all readers choose the same one of equal ``seq``."""
    return record.seq, record.encoded_value
