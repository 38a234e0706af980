"""Encrypts the datagrams of a private network; ``docs/protocol-private.md`` has the bytes.

A nonce is random: its first half when the cipher is made, its second half for each datagram, both
from the operating system. So no nonce repeats after a restart, in a copied data directory, or in
a forked process, and nodes with the same key need not agree on anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from kademlua.core.security.network_key import require_network_keys
from kademlua.crypto.key_derivation import Purpose, derive_key
from kademlua.crypto.library import exceptions
from kademlua.crypto.xaes import NONCE_BYTES, PREFIX_BYTES, TAG_BYTES, XaesKey

OVERHEAD_BYTES: Final = NONCE_BYTES + 2 + TAG_BYTES
"""How much longer a datagram is than its packet, without padding: nonce, length and tag."""
PADDED_UNIT: Final = 128
"""A datagram of at most ``MAX_PADDED_BYTES`` is padded to a multiple of this."""
MAX_PADDED_BYTES: Final = 1_152
"""Longer datagrams are not padded, so that padding makes no IP fragments."""
MAX_KNOWN_PREFIXES: Final = 4_096
"""Ciphers of other nodes that are kept. Making one costs little more than using it."""
MAX_PREFIX_USES: Final = 1 << 31
"""Datagrams under one prefix: half of what NIST SP 800-38D permits for random nonces."""

_ZEROS: Final = bytes(PADDED_UNIT)

Decrypt = Callable[[bytes, bytes, None], bytes]


class DatagramCipher:
    """Encrypts with the first of some network keys, and decrypts with each of them."""

    def __init__(self, network_keys: Sequence[Any]) -> None:
        """Derive the ciphers of 1 to 4 network keys.

        Raises:
            TypeError, ValueError: A key is invalid, or there are none or too many.
            CryptoUnavailable: ``cryptography`` is not installed.
        """
        self._keys = [
            XaesKey(derive_key(key, Purpose.DATAGRAMS))
            for key in require_network_keys(network_keys)
        ]
        self._invalid_tag: type[Exception] = exceptions().InvalidTag
        self._decrypt_by_prefix: dict[bytes, Decrypt] = {}
        """Decrypts the datagrams of a prefix, with one of which it has succeeded."""
        self._renew_prefix()

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram of a packet of at most 65,535 bytes."""
        self._uses_left -= 1
        if not self._uses_left:
            self._renew_prefix()
        size = len(packet)
        plaintext = size.to_bytes(2) + packet
        if size <= MAX_PADDED_BYTES - OVERHEAD_BYTES:
            plaintext += _ZEROS[: -(size + OVERHEAD_BYTES) % PADDED_UNIT]
        nonce = os.urandom(NONCE_BYTES - PREFIX_BYTES)
        return self._prefix + nonce + self._encrypt(nonce, plaintext, None)

    def open(self, datagram: bytes) -> bytes | None:
        """Return the packet in a datagram; None if no network key of this node made it."""
        if len(datagram) < OVERHEAD_BYTES:
            return None
        prefix, nonce = datagram[:PREFIX_BYTES], datagram[PREFIX_BYTES:NONCE_BYTES]
        plaintext = self._decrypt(prefix, nonce, datagram[NONCE_BYTES:])
        if plaintext is None:
            return None
        end = 2 + int.from_bytes(plaintext[:2])
        return plaintext[2:end] if end <= len(plaintext) else None

    def _decrypt(self, prefix: bytes, nonce: bytes, ciphertext: bytes) -> bytes | None:
        """Decrypt with the cipher of a known prefix, or else with each key."""
        known = self._decrypt_by_prefix.get(prefix)
        if known is not None:
            try:
                return known(nonce, ciphertext, None)
            except self._invalid_tag:
                # A holder of another key may have used this prefix to replace the cipher.
                pass
        for key in self._keys:
            decrypt: Decrypt = key.cipher_for(prefix).decrypt
            try:
                plaintext = decrypt(nonce, ciphertext, None)
            except self._invalid_tag:
                continue
            if len(self._decrypt_by_prefix) >= MAX_KNOWN_PREFIXES:
                self._decrypt_by_prefix.clear()
            self._decrypt_by_prefix[prefix] = decrypt
            return plaintext
        return None

    def _renew_prefix(self) -> None:
        """Begin with a new random first half of the nonce."""
        self._prefix = os.urandom(PREFIX_BYTES)
        self._uses_left = MAX_PREFIX_USES
        self._encrypt: Callable[[bytes, bytes, None], bytes] = (
            self._keys[0].cipher_for(self._prefix).encrypt
        )
