"""HKDF, AES-256-GCM, XAES-256-GCM and AES-SIV from their documents, to check the vectors.

Slow, and not constant in time: for tests only.
"""

import hmac
import math


def hkdf_sha256(secret: bytes, info: bytes, size: int) -> bytes:
    """Extract and expand without a salt (RFC 5869)."""
    pseudorandom_key = hmac.digest(bytes(32), secret, "sha256")
    block, derived = b"", b""
    for number in range(1, -(-size // 32) + 1):
        block = hmac.digest(pseudorandom_key, block + info + bytes([number]), "sha256")
        derived += block
    return derived[:size]


def xtime(value: int) -> int:
    """Multiply by x in the field of AES (FIPS 197, section 4.2)."""
    return (value << 1) ^ (0x11B if value & 0x80 else 0)


def _substitution() -> bytes:
    """The S-box: the inverse in the field, then an affine map (FIPS 197, section 5.1.1)."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= xtime(value)
    box = bytearray(256)
    for value in range(256):
        inverse = powers[-powers.index(value) % 255] if value else 0
        spread = inverse ^ inverse << 1 ^ inverse << 2 ^ inverse << 3 ^ inverse << 4
        box[value] = (spread ^ spread >> 8) & 0xFF ^ 0x63
    return bytes(box)


SBOX = _substitution()


def aes256_round_keys(key: bytes) -> list[bytes]:
    """Expand a key of 32 bytes (FIPS 197, section 5.2)."""
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    constant = 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word, constant = bytes([word[0] ^ constant]) + word[1:], xtime(constant)
        elif len(words) % 8 == 4:
            word = bytes(SBOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(word, words[-8], strict=True)))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def aes256_block(key: bytes, block: bytes) -> bytes:
    """Encrypt 16 bytes (FIPS 197, section 5.1)."""
    first, *middle, last = aes256_round_keys(key)
    state = [a ^ b for a, b in zip(block, first, strict=True)]
    for round_key in [*middle, last]:
        state = [SBOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16)]
        if round_key is not last:
            state = [_mixed(state[at - at % 4 : at - at % 4 + 4], at % 4) for at in range(16)]
        state = [a ^ b for a, b in zip(state, round_key, strict=True)]
    return bytes(state)


def _mixed(column: list[int], row: int) -> int:
    a, b, c, d = column[row:] + column[:row]
    return xtime(a) ^ xtime(b) ^ b ^ c ^ d


def _ghash(subkey: int, data: bytes) -> int:
    """Hash whole blocks (NIST SP 800-38D, section 6.4)."""
    state = 0
    for at in range(0, len(data), 16):
        factor, state, product = subkey, state ^ int.from_bytes(data[at : at + 16]), 0
        for bit in range(127, -1, -1):
            product ^= factor if state >> bit & 1 else 0
            factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
        state = product
    return state


def aes256_gcm(key: bytes, nonce: bytes, plaintext: bytes, context: bytes = b"") -> bytes:
    """Encrypt with additional data; the tag follows (NIST SP 800-38D, section 7.1)."""
    blocks = -(-len(plaintext) // 16)
    stream = b"".join(aes256_block(key, nonce + (2 + n).to_bytes(4)) for n in range(blocks))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream, strict=False))
    padded = b"".join(each + bytes(-len(each) % 16) for each in (context, ciphertext))
    lengths = (8 * len(context)).to_bytes(8) + (8 * len(ciphertext)).to_bytes(8)
    hashed = _ghash(int.from_bytes(aes256_block(key, bytes(16))), padded + lengths)
    mask = int.from_bytes(aes256_block(key, nonce + (1).to_bytes(4)))
    return ciphertext + (hashed ^ mask).to_bytes(16)


def xaes256_gcm(key: bytes, nonce: bytes, plaintext: bytes, context: bytes = b"") -> bytes:
    """Encrypt with a nonce of 24 bytes and additional data (C2SP XAES-256-GCM)."""
    doubled = int.from_bytes(aes256_block(key, bytes(16))) << 1
    subkey = doubled ^ (1 << 128 | 0x87) if doubled >> 128 else doubled
    derived = b"".join(
        aes256_block(
            key, (int.from_bytes(b"\0" + bytes([n]) + b"X\0" + nonce[:12]) ^ subkey).to_bytes(16)
        )
        for n in (1, 2)
    )
    return aes256_gcm(derived, nonce[12:], plaintext, context)


def _aes256_cmac(key: bytes, data: bytes) -> bytes:
    """Authenticate data (NIST SP 800-38B)."""
    subkey = _doubled(int.from_bytes(aes256_block(key, bytes(16))))
    if not data or len(data) % 16:
        subkey, data = _doubled(subkey), data + b"\x80" + bytes(-(len(data) + 1) % 16)
    state = 0
    for at in range(0, len(data), 16):
        state ^= int.from_bytes(data[at : at + 16]) ^ (subkey if at + 16 == len(data) else 0)
        state = int.from_bytes(aes256_block(key, state.to_bytes(16)))
    return state.to_bytes(16)


def _doubled(value: int) -> int:
    """Multiply by x in the field of CMAC."""
    return value << 1 ^ (1 << 128 | 0x87 if value >> 127 else 0)


def aes_siv(key: bytes, plaintext: bytes) -> bytes:
    """Encrypt 16 bytes or more without additional data; the tag is in front (RFC 5297)."""
    mac_key, counter_key = key[:32], key[32:]
    mask = bytes(len(plaintext) - 16) + _aes256_cmac(mac_key, bytes(16))
    tag = _aes256_cmac(mac_key, bytes(a ^ b for a, b in zip(plaintext, mask, strict=True)))
    first = int.from_bytes(tag) & ~(1 << 63 | 1 << 31)
    stream = b"".join(
        aes256_block(counter_key, (first + n).to_bytes(16)) for n in range(-(-len(plaintext) // 16))
    )
    return tag + bytes(a ^ b for a, b in zip(plaintext, stream, strict=False))


def seal_datagram(network_key: bytes, nonce: bytes, packet: bytes) -> bytes:
    """Encrypt a packet of a private network (docs/protocol-private.md)."""
    key = hkdf_sha256(network_key, b"kademlua 1.1 datagrams", 32)
    plaintext = len(packet).to_bytes(2) + packet
    if len(packet) <= 1_110:
        plaintext += bytes(-(len(packet) + 42) % 128)
    return nonce + xaes256_gcm(key, nonce, plaintext)


def blind(secret: bytes, key: bytes) -> bytes:
    """Return the blinded key of a secret value (docs/security.md)."""
    return hmac.digest(hkdf_sha256(secret, b"kademlua 1.1 secret keys", 32), key, "sha256")[:20]


def _padded_size(size: int) -> int:
    """Return the size of ``size`` bytes and byte 128 with their padding (docs/security.md)."""
    exponent = math.floor(math.log2(size + 1))
    low_bits = exponent - (math.floor(math.log2(exponent)) + 1) if exponent else 0
    return max(64, -(-(size + 1) // 2**low_bits) * 2**low_bits)  # Padmé


def seal_secret_value(secret: bytes, nonce: bytes, encoded: bytes, context: bytes) -> bytes:
    """Encrypt a bencoded value (docs/security.md)."""
    plaintext = (encoded + b"\x80").ljust(_padded_size(len(encoded)), b"\0")
    key = hkdf_sha256(secret, b"kademlua 1.1 secret values", 32)
    return nonce + xaes256_gcm(key, nonce, plaintext, context)


def seal_block(secret: bytes, encoded: bytes, full_bytes: int = 0) -> bytes:
    """Encrypt a bencoded block or root of an object; a full block has ``full_bytes``."""
    plaintext = (encoded + b"\x80").ljust(_padded_size(max(len(encoded), full_bytes)), b"\0")
    return aes_siv(hkdf_sha256(secret, b"kademlua 1.1 secret objects", 64), plaintext)
