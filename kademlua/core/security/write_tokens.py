"""Write tokens: a node issues them in replies, and requires them in stores (BEP 5).

A token proves that its bearer receives packets at its address. It needs no memory: it is a keyed
hash of id, key, address and port, with a secret that changes. Each of them has a fixed length, so
that the token of one sender is that of no other one.
"""

from __future__ import annotations

import hmac
import random
from hashlib import blake2b
from struct import Struct
from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.ids import is_id
from kademlua.core.security.subnets import pack_address

TOKEN_BYTES: Final = 8
ROTATION_INTERVAL: Final = 300.0
"""Seconds. A token is valid while its secret is the current or the previous one."""
_SECRET_BYTES: Final = 16
_MESSAGE: Final = Struct("!20s20s16sH")
"""Id, key, address and port of a sender."""


class WriteTokens:
    """The write tokens of one node; ``rng`` provides the secrets."""

    __slots__ = ("_rng", "_rotated_at", "_secrets")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._secrets: tuple[bytes, bytes] | None = None
        """The current and the previous secret; created on first use."""
        self._rotated_at = 0.0

    def issue(self, endpoint: Endpoint, node_id: bytes, key: bytes, now: float) -> bytes:
        """Return the token with which this sender may store under a key; both have 20 bytes."""
        return _token(self._current_secrets(now)[0], endpoint, node_id, key)

    def verify(
        self, token: object, endpoint: Endpoint, node_id: bytes, key: bytes, now: float
    ) -> bool:
        """Return whether a token was issued to this sender for this key, at most ten minutes
        ago."""
        if type(token) is not bytes or len(token) != TOKEN_BYTES or not is_id(key):
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
    if not is_id(node_id) or not is_id(key):
        raise ValueError("a token is for an id and a key of 20 bytes each")
    addr, port = endpoint
    message = _MESSAGE.pack(node_id, key, pack_address(addr), port)
    return blake2b(message, digest_size=TOKEN_BYTES, key=secret).digest()
