"""Secret records: what a node stores and finds sealed in immutable and signed records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kademlua.core.errors import RecordForged
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.core.results import PutResult
from kademlua.core.values.records import SignedRecord, encode_value, signed_key
from kademlua.crypto.sealed_values import open_value, seal_value
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import Signer
from kademlua.node.records import Records

_IMMUTABLE: Final = b"kademlua 1.1 immutable record"
"""The context of sealed immutable records, whose keys depend on their sealed values."""


class SecretRecords:
    """The operations of ``Records``, with a secret that the holders do not know."""

    __slots__ = ("_records", "_secret")

    def __init__(self, records: Records, secret: Secret) -> None:
        """Store and find records through ``records``."""
        self._records = records
        self._secret = secret

    def put_immutable(self, value: Any, *, ttl: float | None = None) -> PutResult:
        """Encrypt a value, and store it as an immutable record; see ``Node.put_immutable``.

        The key is another one each time, and reveals nothing about the value.
        """
        sealed = seal_value(self._secret, value, _IMMUTABLE, self._records.params)
        return self._records.put_immutable(sealed, ttl=ttl)

    def get_immutable(
        self, key: bytes, *, paths: int | None = None, limits: FindLimits | None = None
    ) -> Any:
        """Return the value of an immutable record that was made with the secret.

        KeyError if there is none, or one without the secret. Args, Raises: see
        ``Node.get_immutable``.
        """
        sealed = self._records.get_immutable(key, paths=paths, limits=limits)
        value = open_value(self._secret, sealed, _IMMUTABLE)
        if value is None:
            raise KeyError(key)
        return value

    def put_signed(  # noqa: PLR0913  # those of Records
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
        """Encrypt a value, and store it as a signed record; see ``Node.put_signed``.

        Holders see the public key, but neither the value nor the salt, which may have any length.
        ``PutResult.signed_record`` is the record as they see it.
        """
        blinded_salt = self._blind_salt(signer.public_key, salt)
        key = signed_key(signer.public_key, blinded_salt)
        sealed = seal_value(self._secret, value, key, self._records.params)
        return self._records.put_signed(
            sealed, signer, salt=blinded_salt, seq=seq, cas=cas, ttl=ttl, expires=expires
        )

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
        """Return the newest record of a public key, a salt and the secret; None if there is none.

        The record has the opened value. Its salt and signature are those that holders see.

        Raises:
            RecordForged: Also if the signer made it without the secret. For others see
                ``Node.get_signed``.
        """
        found = self._records.get_signed(
            public_key,
            self._blind_salt(public_key, salt),
            max_nodes=max_nodes,
            min_seq=min_seq,
            paths=paths,
            limits=limits,
        )
        if found is None:
            return None
        value = open_value(self._secret, found.value, found.key)
        if value is None:
            raise RecordForged("the record was not made with the secret")
        return replace(found, encoded_value=encode_value(value))

    def _blind_salt(self, public_key: bytes, salt: bytes) -> bytes:
        return self._secret.blind_key(public_key + salt)
