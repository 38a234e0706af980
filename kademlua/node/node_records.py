"""NodeRecords: what a node does with records that prove themselves."""

from __future__ import annotations

import math
from typing import Any

from kademlua.core.results import PutResult
from kademlua.core.values.records import SignedRecord
from kademlua.core.values.validation import validate_key, validate_ttl
from kademlua.crypto.signing import Signer
from kademlua.node.records import Recording
from kademlua.node.values import NodeValues


class NodeRecords(NodeValues):
    """The part of ``Node`` that is for immutable and signed records."""

    _recording: Recording

    def put_immutable(self, value: Any, *, ttl: float | None = None) -> PutResult:
        """Store a value under the SHA-1 of its bencoding, which ``PutResult.key`` tells.

        Whoever finds it there can tell that it is the one. Raises as ``add`` does.
        """
        seconds = validate_ttl(ttl, self.params)
        self._require_joined()
        return self._recording.put_immutable(value, seconds)

    def get_immutable(self, key: bytes, *, paths: int | None = None) -> Any:
        """The value whose bencoding has this SHA-1; KeyError where no node has it. ``paths`` as
        in ``find_value``. Raises as ``add`` does."""
        self._require_joined()
        return self._recording.get_immutable(validate_key(key), paths)

    def put_signed(
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
        """Store a signed record, in place of those of this key with lower sequence numbers.

        ``signer`` is a SigningKey or the like; ``salt``, up to 64 bytes, tells its records
        apart; ``seq`` is the sequence number, by default the next after the one that is found.
        With ``cas``, holders take it only in place of the record of that number. ``ttl`` is how
        many seconds they keep it, by default until ``expires``; that is seconds since 1970,
        signed, and nobody shows the record any more then.

        Raises, where more nodes said so than took it, RecordStale, SwapRefused or
        RecordExpired; CryptoMissing; and as ``add`` does.
        """
        seconds = None if ttl is None else validate_ttl(ttl, self.params)
        self._require_joined()
        return self._recording.put_signed(
            value,
            signer,
            salt=salt,
            seq=seq,
            swaps=cas,
            ttl=seconds,
            expires=None if expires is None else math.floor(expires),
        )

    def get_signed(
        self,
        public_key: bytes,
        salt: bytes = b"",
        *,
        answers: int | None = None,
        least_seq: int = 0,
        paths: int | None = None,
    ) -> SignedRecord | None:
        """The newest record of a public key and a salt; None where there is none.

        All of the k closest nodes are asked; with ``answers`` no more than until so many have
        shown a genuine one. ``paths`` as in ``find_value``: 4 are a good number where nodes are
        hostile. Where nothing but records are found that are not believed, raises
        RecordForged, RecordExpired, or RecordStale for sequence numbers below ``least_seq``;
        CryptoMissing; and as ``add`` does.
        """
        self._require_joined()
        return self._recording.get_signed(
            public_key, salt, answers=answers, least_seq=least_seq, paths=paths
        )
