"""Secret values: what a node finds and stores under blinded keys, encrypted."""

from __future__ import annotations

import functools
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.core.results import Answer, StoreReport
from kademlua.core.values.validation import validate_key
from kademlua.crypto.sealed_values import decode_opened, seal_value
from kademlua.crypto.secret import Secret
from kademlua.node.values import Values


class SecretValues:
    """The operations of ``Values``, with a secret that the holders do not know."""

    __slots__ = ("_secret", "_values")

    def __init__(self, values: Values, secret: Secret) -> None:
        """Store and find values through ``values``."""
        self._values = values
        self._secret = secret

    def find_holders(self, key: bytes) -> list[Contact]:
        """Look up the k live contacts closest to the blinded key, as ``Node.find_node`` does."""
        return self._values.find_node(self._blind(key))

    def find_value(
        self,
        key: bytes,
        max_nodes: int = 3,
        *,
        limits: FindLimits | None = None,
        quorum: int = 1,
        paths: int | None = None,
    ) -> list[Answer]:
        """Look up the values that were stored under a key with this secret.

        Values that are not encrypted with the secret, for this key, are never returned.

        Args, Raises: see ``Node.find_value``.
        """
        blinded = self._blind(key)

        @functools.cache  # several holders return the same value
        def open_once(sealed: bytes) -> bytes | None:
            return self._secret.open(sealed, blinded)

        def genuine(values: list[Any]) -> list[Any]:
            return [each for each in values if type(each) is bytes and open_once(each) is not None]

        answers = self._values.find_value(
            blinded, max_nodes, limits=limits, quorum=quorum, value_filter=genuine, paths=paths
        )
        opened = [
            (each.contact, map(decode_opened, map(open_once, each.values))) for each in answers
        ]
        found = [
            Answer(contact, [each for each in values if each is not None])
            for contact, values in opened
        ]
        return [each for each in found if each.values]

    def add(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Encrypt and store this node's value of a key; see ``Node.add``."""
        blinded = self._blind(key)
        return self._values.add(blinded, self._seal(value, blinded), ttl=ttl)

    def overwrite(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Encrypt and store a value, and remove those of other owners; see ``Node.overwrite``."""
        blinded = self._blind(key)
        return self._values.overwrite(blinded, self._seal(value, blinded), ttl=ttl)

    def publish(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Encrypt a value, store it and store it again until ``unpublish``; see ``Node.publish``.

        A node with a data directory goes on after a restart, without the secret.
        """
        blinded = self._blind(key)
        return self._values.publish(blinded, self._seal(value, blinded), ttl=ttl)

    def unpublish(self, key: bytes) -> bool:
        """Stop publishing a key; return whether it was published."""
        return self._values.unpublish(self._blind(key))

    def remove(self, key: bytes) -> StoreReport:
        """Remove this node's value of a key from all holders; see ``Node.remove``."""
        return self._values.remove(self._blind(key))

    def _blind(self, key: bytes) -> bytes:
        return self._secret.blind_key(validate_key(key))

    def _seal(self, value: Any, blinded: bytes) -> bytes:
        return seal_value(self._secret, value, blinded, self._values.params)
