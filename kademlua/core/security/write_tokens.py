"""Write tokens: a node issues them in replies, and requires them in stores (BEP 5).

A token proves that its bearer receives packets at its address. It needs no memory: it is a keyed
hash of address, port, id and key, with a secret that changes.
"""

from __future__ import annotations

import hmac
import random
from hashlib import blake2b

from kademlua.core.contact import Endpoint

TOKEN_BYTES = 8
ROTATION_INTERVAL = 300.0
"""Seconds. A token is valid while its secret is the current or the previous one."""
_SECRET_BYTES = 16


class WriteTokens:
    """The write tokens of one node; ``rng`` provides the secrets."""

    __slots__ = ("_rng", "_rotated_at", "_secrets")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._secrets: tuple[bytes, bytes] | None = None
        """The current and the previous secret; created on first use."""
        self._rotated_at = 0.0

    def issue(self, endpoint: Endpoint, node_id: bytes, key: bytes, now: float) -> bytes:
        """Return the token with which this sender may store under a key."""
        return _token(self._current_secrets(now)[0], endpoint, node_id, key)

    def verify(
        self, token: object, endpoint: Endpoint, node_id: bytes, key: bytes, now: float
    ) -> bool:
        """Return whether a token was issued to this sender for this key, at most ten minutes
        ago."""
        if type(token) is not bytes or len(token) != TOKEN_BYTES or len(key) > 64:
            return False
        current, previous = (
            _token(secret, endpoint, node_id, key) for secret in self._current_secrets(now)
        )
        # Compare both in constant time, which reveals nothing.
        return hmac.compare_digest(token, current) | hmac.compare_digest(token, previous)

    def _current_secrets(self, now: float) -> tuple[bytes, bytes]:
        age = now - self._rotated_at
        if self._secrets is None or age >= 2 * ROTATION_INTERVAL:
            self._secrets = self._new_secret(), self._new_secret()
            self._rotated_at = now
        elif age >= ROTATION_INTERVAL:
            self._secrets = self._new_secret(), self._secrets[0]
            self._rotated_at += ROTATION_INTERVAL
        return self._secrets

    def _new_secret(self) -> bytes:
        return self._rng.randbytes(_SECRET_BYTES)


def _token(secret: bytes, endpoint: Endpoint, node_id: bytes, key: bytes) -> bytes:
    addr, port = endpoint
    # All lengths but the last are fixed: no two senders have the same bytes.
    message = b"%b%b%d:%b" % (node_id, key, port, addr.encode())
    return blake2b(message, digest_size=TOKEN_BYTES, key=secret).digest()
