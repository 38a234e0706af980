"""Write tokens: what a node gives to those who ask it, and wants to see when they store.

A token proves that its bearer receives what is sent to his address, and needs no memory: it
is a keyed hash over address, port, id and key, by a secret that changes (as BEP 5 has it).
"""

from __future__ import annotations

import hmac
import random
from hashlib import blake2b

from kademlua.core.contact import Endpoint

TOKEN_BYTES = 8
ROTATION_INTERVAL = 300.0
"""Seconds; a token is valid while its secret is the present or the former one."""
_SECRET_BYTES = 16


class WriteTokens:
    """The tokens of one node. The secrets come from ``rng``."""

    __slots__ = ("_rng", "_rotated_at", "_secrets")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._secrets: tuple[bytes, bytes] | None = None
        """The present one and the former one; made when first needed."""
        self._rotated_at = 0.0

    def issue(self, endpoint: Endpoint, node_id: bytes, key: bytes, now: float) -> bytes:
        """The token with which this sender may store under a key: ``TOKEN_BYTES`` bytes."""
        return _token(self._current_secrets(now)[0], endpoint, node_id, key)

    def verify(
        self, token: object, endpoint: Endpoint, node_id: bytes, key: bytes, now: float
    ) -> bool:
        """Whether a token was given to this sender for this key, at most ten minutes ago."""
        if type(token) is not bytes or len(token) != TOKEN_BYTES or len(key) > 64:
            return False
        current, previous = (
            _token(secret, endpoint, node_id, key) for secret in self._current_secrets(now)
        )
        # Both are compared, and in constant time: how long it takes tells nothing.
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
    # Lengths are fixed but for the last one's: no two senders have the same bytes.
    message = b"%b%b%d:%b" % (node_id, key, port, addr.encode())
    return blake2b(message, digest_size=TOKEN_BYTES, key=secret).digest()
