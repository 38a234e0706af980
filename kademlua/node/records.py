"""Recording: records that prove themselves, put into the network and got from it."""

from __future__ import annotations

import math
import sys
from typing import Any

from kademlua.core.errors import (
    CasMismatch,
    RecordExpired,
    RecordRefused,
    RecordStale,
    StoreFailed,
)
from kademlua.core.results import PutResult, StoreReport
from kademlua.core.values import records
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.values.records import SignedRecord
from kademlua.core.wire import replies
from kademlua.crypto import signing
from kademlua.crypto.signing import Signer
from kademlua.lookup.service import LookupService
from kademlua.replication.read_repair import ReadRepair
from kademlua.runtime.context import Context
from kademlua.values.writer import ValueWriter

_PER_NODE = 4_096
_OWN_ERRORS: tuple[type[RecordRefused], ...] = (CasMismatch, RecordStale, RecordExpired)


class Recording:
    """The records of one node's program."""

    __slots__ = ("_context", "_mending", "_operations", "_storing")

    def __init__(
        self, context: Context, operations: LookupService, storing: ValueWriter, mending: ReadRepair
    ) -> None:
        self._context = context
        self._operations = operations
        self._storing = storing
        self._mending = mending

    def put_immutable(self, value: Any, ttl: int) -> PutResult:
        """Store a value under the SHA-1 of itself; raises as ``ValueWriter.store`` does."""
        encoded = self._fitting(replies.encode_value(value))
        key = records.immutable_key(encoded)
        return PutResult(key, self._storing.store(key, encoded, ttl))

    def put_signed(
        self,
        value: Any,
        signer: Signer,
        *,
        salt: bytes,
        seq: int | None,
        swaps: int | None,
        ttl: int | None,
        expires: int | None,
    ) -> PutResult:
        """Sign a value and store it; without ``seq`` under the number after the one there."""
        _require_bytes(salt)
        encoded = records.encode_value(value)
        public_key = signer.public_key
        if expires is not None:
            ttl = ttl or self._until(expires)
        if ttl is None:
            ttl = int(min(self._context.params.ttl, self._context.params.max_ttl)) or 1
        try:
            records.check_fields(salt, seq or 0, expires)
        except RecordRefused as error:
            raise ValueError(str(error)) from None
        if seq is None:
            seq = self._next_seq(public_key, salt)
        signature = signer.sign(records.signed_bytes(salt, seq, expires, encoded))
        record = SignedRecord(public_key, salt, seq, expires, signature, encoded)
        self._fitting(record.encoded)
        try:
            report = self._storing.store(record.key, record.encoded, ttl, cas=swaps)
        except StoreFailed as failed:
            _raise_own_error(failed.report)
            raise
        _raise_own_error(report)
        return PutResult(record.key, report, record)

    def get_immutable(self, key: bytes, paths: int | None = None) -> Any:
        """The value whose SHA-1 is the key; KeyError where nobody has it."""
        sieve = self._operations.record_filter(key, only_records=True)
        self._find(key, 1, sieve, paths)
        if sieve.immutable is None:
            raise KeyError(key)
        return replies.decode_value(sieve.immutable)

    def get_signed(
        self,
        public_key: bytes,
        salt: bytes,
        *,
        answers: int | None,
        least_seq: int,
        paths: int | None = None,
    ) -> SignedRecord | None:
        """The newest record that is found; raises the error of one that is not believed where
        there is no other."""
        sieve = self._find_signed(public_key, salt, answers or sys.maxsize, least_seq, paths)
        if sieve.signed_record is None and sieve.rejection is not None:
            raise sieve.rejection
        return sieve.signed_record

    def _find_signed(
        self,
        public_key: bytes,
        salt: bytes,
        answers: int,
        least_seq: int,
        paths: int | None = None,
    ) -> RecordFilter:
        signing.require_crypto()
        _require_bytes(public_key, salt)
        if len(public_key) != records.PUBLIC_KEY_BYTES:
            raise ValueError(f"a public key has {records.PUBLIC_KEY_BYTES} bytes")
        if len(salt) > records.MAX_SALT_BYTES:
            raise ValueError(f"salt over {records.MAX_SALT_BYTES} bytes")
        key = records.signed_key(public_key, salt)
        sieve = self._operations.record_filter(key, only_records=True, min_seq=least_seq)
        self._find(key, answers, sieve, paths)
        return sieve

    def _find(self, key: bytes, answers: int, sieve: RecordFilter, paths: int | None) -> None:
        paths = paths or self._context.params.disjoint_paths
        finding = self._operations.find_value(
            key, answers, _PER_NODE, record_filter=sieve, path_count=paths
        )
        self._mending.after_find(finding)

    def _next_seq(self, public_key: bytes, salt: bytes) -> int:
        """One more than the number of the newest record, be that expired or not; else 1."""
        newest = self._find_signed(public_key, salt, sys.maxsize, 0).highest_seq
        return 1 if newest is None else newest + 1

    def _until(self, expires: int) -> int:
        """A time to live that lasts until an end; RecordExpired where that is over."""
        remains = math.ceil(expires - self._context.wall_clock())
        if remains <= 0:
            raise RecordExpired
        return min(remains, self._context.params.max_ttl)

    def _fitting(self, encoded: bytes) -> bytes:
        bound = self._context.params.max_value_bytes
        if len(encoded) > bound:
            raise ValueError(f"a record has at most {bound:,} bytes, bencoded")
        return encoded


def _require_bytes(*given: object) -> None:
    for each in given:
        if not isinstance(each, bytes):
            raise TypeError(f"public keys and salts are bytes, not {each!r:.60}")


def _raise_own_error(report: object) -> None:
    """Where more nodes refused a record than took it, and have an error of its own for that,
    raise it."""
    assert isinstance(report, StoreReport)
    for kind in _OWN_ERRORS:
        count = sum(reason == kind.default_reason for _, reason in report.refused)
        if count > len(report.acknowledged):
            raise kind(report=report)
