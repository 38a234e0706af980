"""Mail, and HPKE in base mode with X25519, HKDF-SHA256 and AES-256-GCM, written out from RFC 9180.

Slow, and not constant in time: for tests only.
"""

import hmac
import math

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.reference_aead import aes256_gcm

_PRIME = 2**255 - 19
BASE_POINT = (9).to_bytes(32, "little")
AES_128_GCM, AES_256_GCM = 1, 2


def x25519(private_key: bytes, point: bytes) -> bytes:
    """Multiply a point by the Montgomery ladder (RFC 7748, section 5)."""
    scalar = int.from_bytes(private_key, "little") & ~7 & (1 << 254) - 1 | 1 << 254
    x1 = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        if scalar >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        plus, minus = (x2 + z2) % _PRIME, (x2 - z2) % _PRIME
        cross_a, cross_b = (x3 - z3) * plus, (x3 + z3) * minus
        x3, z3 = (cross_a + cross_b) ** 2 % _PRIME, x1 * (cross_a - cross_b) ** 2 % _PRIME
        difference = plus**2 - minus**2
        x2, z2 = plus**2 * minus**2 % _PRIME, difference * (plus**2 + 121_665 * difference) % _PRIME
        if scalar >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, -1, _PRIME) % _PRIME).to_bytes(32, "little")


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """LabeledExtract (RFC 9180, section 4)."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """LabeledExpand, for at most 32 bytes (RFC 9180, section 4)."""
    labelled = size.to_bytes(2) + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labelled + b"\x01", "sha256")[:size]


def shared_secret(ephemeral_key: bytes, public_key: bytes) -> bytes:
    """Encap of DHKEM(X25519, HKDF-SHA256) (RFC 9180, section 4.1)."""
    suite = b"KEM" + (0x20).to_bytes(2)
    secret = _extract(suite, b"", b"eae_prk", x25519(ephemeral_key, public_key))
    context = x25519(ephemeral_key, BASE_POINT) + public_key
    return _expand(suite, secret, b"shared_secret", context, 32)


def key_and_nonce(shared: bytes, info: bytes, aead: int = AES_256_GCM) -> tuple[bytes, bytes]:
    """KeySchedule in base mode (RFC 9180, section 5.1)."""
    suite = b"HPKE" + b"".join(each.to_bytes(2) for each in (0x20, 1, aead))
    context = b"\0" + _extract(suite, b"", b"psk_id_hash", b"")
    context += _extract(suite, b"", b"info_hash", info)
    secret = _extract(suite, shared, b"secret", b"")
    key = _expand(suite, secret, b"key", context, 16 * aead)
    return key, _expand(suite, secret, b"base_nonce", context, 12)


def seal(ephemeral_key: bytes, public_key: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return the encapsulation and the ciphertext of the first message, without other data."""
    key, nonce = key_and_nonce(shared_secret(ephemeral_key, public_key), info)
    return x25519(ephemeral_key, BASE_POINT) + aes256_gcm(key, nonce, plaintext)


def mail_letter(signing_key: bytes, address: bytes, microseconds: int, message: bytes) -> bytes:
    """Return the padded plaintext of a message (docs/security.md)."""
    signer = Ed25519PrivateKey.from_private_bytes(signing_key)
    time = microseconds.to_bytes(8)
    signature = signer.sign(b"kademlua 1.1 mail" + address + time + message)
    letter = signer.public_key().public_bytes_raw() + signature + time + message + b"\x80"
    exponent = math.floor(math.log2(len(letter)))
    low_bits = exponent - (math.floor(math.log2(exponent)) + 1)  # Padmé leaves them zero
    return letter.ljust(-(-len(letter) // 2**low_bits) * 2**low_bits, b"\0")
