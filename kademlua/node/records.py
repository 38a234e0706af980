"""Records: values that prove themselves, immutable or signed, in the network."""

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
from kademlua.core.lookup.find_budget import DEFAULT_LIMITS, FindLimits
from kademlua.core.params import Params
from kademlua.core.results import PutResult, StoreReport
from kademlua.core.values import records
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.validation import (
    check_encoded,
    validate_key,
    validate_ttl,
    validate_value,
)
from kademlua.core.wire import replies
from kademlua.core.wire.requests import StoreArguments
from kademlua.crypto import signing
from kademlua.crypto.signing import Signer
from kademlua.lookup.service import LookupService
from kademlua.lookup.value_search import FindOptions
from kademlua.node.lifecycle import Lifecycle
from kademlua.replication.read_repair import ReadRepair
from kademlua.runtime.context import Context
from kademlua.values.writer import ValueWriter

_REFUSALS: tuple[type[RecordRefused], ...] = (CasMismatch, RecordStale, RecordExpired)
"""Errors that a majority of holders can cause."""


class Records:
    """The part of a node that deals with immutable and signed records (BEP 44)."""

    __slots__ = ("_context", "_lifecycle", "_lookups", "_params", "_read_repair", "_writer")

    def __init__(
        self,
        *,
        context: Context,
        lifecycle: Lifecycle,
        lookups: LookupService,
        writer: ValueWriter,
        read_repair: ReadRepair,
    ) -> None:
        self._context = context
        self._params = context.params
        self._lifecycle = lifecycle
        self._lookups = lookups
        self._writer = writer
        self._read_repair = read_repair

    @property
    def params(self) -> Params:
        """The node's parameters."""
        return self._params

    def put_immutable(self, value: Any, *, ttl: float | None = None) -> PutResult:
        """Store a value under the SHA-1 of its bencoding, which is ``PutResult.key``.

        The key proves the value to each reader. Holders keep it for ``ttl`` seconds, default
        ``Params.ttl``.

        Raises:
            StoreFailed, NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see
                ``add``.
        """
        ttl_seconds = validate_ttl(ttl, self._params)
        self._lifecycle.require_joined()
        encoded = validate_value(value, self._params)
        key = records.immutable_key(encoded)
        return PutResult(key, self._writer.store(StoreArguments(key, encoded, ttl_seconds)))

    def get_immutable(
        self, key: bytes, *, paths: int | None = None, limits: FindLimits | None = None
    ) -> Any:
        """Return the value whose bencoding has this SHA-1.

        Args:
            paths: The number of disjoint paths, default ``Params.disjoint_paths``.
            limits: Bytes and seconds that the find may use.

        Raises:
            KeyError: no node has the value, or none returned it in time.
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        record_filter = self._lookups.record_filter(validate_key(key), only_records=True)
        self._find(key, record_filter, 1, paths, limits)
        if record_filter.immutable is None:
            raise KeyError(key)
        return replies.decode_value(record_filter.immutable)

    def put_signed(  # noqa: PLR0913  # a dataclass of the optional ones would make each call longer
        self,
        value: Any,
        signer: Signer,
        *,
        salt: bytes = b"",
        seq: int | None = None,
        cas: int | None = None,
        ttl: float | None = None,
        expires: float | None = None,
    ) -> PutResult:
        """Sign and store a record; it replaces those with lower sequence numbers.

        Args:
            signer: A SigningKey, or another object with its methods.
            salt: Up to 64 bytes that distinguish the records of one key.
            seq: The sequence number; default one more than the highest that is found,
                or the microseconds since 1970 if there is none.
            cas: If given, holders store the record only in place of this sequence number.
            ttl: Seconds that holders keep the record; default until ``expires``.
            expires: Seconds since 1970, signed. No node shows the record afterwards.

        Raises:
            RecordStale, CasMismatch, RecordExpired: more nodes refused than stored it.
            CryptoUnavailable: ``cryptography`` is not installed.
            StoreFailed, NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see
                ``add``.
        """
        ttl_seconds = None if ttl is None else validate_ttl(ttl, self._params)
        self._lifecycle.require_joined()
        _require_bytes(salt)
        encoded = records.encode_value(value)
        expires_at = None if expires is None else math.floor(expires)
        if ttl_seconds is None:
            ttl_seconds = self._ttl_until(expires_at)
        try:
            records.check_fields(salt, seq or 0, expires_at)
        except RecordRefused as error:
            raise ValueError(str(error)) from None
        if seq is None:
            seq = self._next_seq(signer.public_key, salt)
        signature = signer.sign(records.signed_bytes(salt, seq, expires_at, encoded))
        record = SignedRecord(signer.public_key, salt, seq, expires_at, signature, encoded)
        check_encoded(record.encoded, self._params)
        return PutResult(record.key, self._store(record, ttl_seconds, cas), record)

    def get_signed(
        self,
        public_key: bytes,
        salt: bytes = b"",
        *,
        max_nodes: int | None = None,
        min_seq: int = 0,
        paths: int | None = None,
        limits: FindLimits | None = None,
    ) -> SignedRecord | None:
        """Return the newest record of a public key and a salt; None if there is none.

        Args:
            max_nodes: Stop after this many nodes returned a genuine record; default all of
                the k closest nodes.
            min_seq: Reject records with a lower sequence number as stale.
            paths: The number of disjoint paths, default ``Params.disjoint_paths``; 4 is a
                good number in a hostile network.
            limits: Bytes and seconds that the find may use; it returns what it found within them.

        Raises:
            RecordForged, RecordExpired, RecordStale: all records that were found are rejected.
            CryptoUnavailable: ``cryptography`` is not installed.
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        max_nodes = max_nodes or sys.maxsize
        found = self._signed_filter(public_key, salt, min_seq)
        self._find(records.signed_key(public_key, salt), found, max_nodes, paths, limits)
        if found.signed_record is None and found.rejection is not None:
            raise found.rejection
        return found.signed_record

    def _store(self, record: SignedRecord, ttl: int, cas: int | None) -> StoreReport:
        try:
            report = self._writer.store(StoreArguments(record.key, record.encoded, ttl, cas=cas))
        except StoreFailed as failed:
            _raise_common_refusal(failed.report)
            raise
        _raise_common_refusal(report)
        return report

    def _signed_filter(self, public_key: bytes, salt: bytes, min_seq: int = 0) -> RecordFilter:
        signing.require_crypto()
        _require_bytes(public_key, salt)
        if len(public_key) != records.PUBLIC_KEY_BYTES:
            raise ValueError(f"a public key has {records.PUBLIC_KEY_BYTES} bytes")
        if len(salt) > records.MAX_SALT_BYTES:
            raise ValueError(f"salt over {records.MAX_SALT_BYTES} bytes")
        key = records.signed_key(public_key, salt)
        return self._lookups.record_filter(key, only_records=True, min_seq=min_seq)

    def _find(
        self,
        key: bytes,
        record_filter: RecordFilter,
        max_nodes: int = sys.maxsize,
        paths: int | None = None,
        limits: FindLimits | None = None,
    ) -> None:
        options = FindOptions(
            max_nodes=max_nodes,
            path_count=paths or self._params.disjoint_paths,
            limits=limits or DEFAULT_LIMITS,
        )
        self._read_repair.after_find(self._lookups.find_value(key, options, record_filter))

    def _next_seq(self, public_key: bytes, salt: bytes) -> int:
        """Return one more than the highest sequence number found, expired or not.

        If there is none, the time: holders still reject numbers below that of an expired record.
        """
        found = self._signed_filter(public_key, salt)
        self._find(records.signed_key(public_key, salt), found)
        highest = found.highest_seq
        return int(self._context.wall_clock() * 1e6) if highest is None else highest + 1

    def _ttl_until(self, expires_at: int | None) -> int:
        """Return the TTL of a record that has none: until it expires, or the default."""
        if expires_at is None:
            return int(min(self._params.ttl, self._params.max_ttl)) or 1
        remaining = math.ceil(expires_at - self._context.wall_clock())
        if remaining <= 0:
            raise RecordExpired
        return min(remaining, self._params.max_ttl)


def _require_bytes(*values: object) -> None:
    for value in values:
        if not isinstance(value, bytes):
            raise TypeError(f"public keys and salts are bytes, not {value!r:.60}")


def _raise_common_refusal(report: object) -> None:
    """Raise the error of a refusal that more nodes gave than stored the record."""
    assert isinstance(report, StoreReport)
    for kind in _REFUSALS:
        count = sum(reason == kind.default_reason for _, reason in report.refused)
        if count > len(report.acknowledged):
            raise kind(report=report)
