"""Padding, which hides the exact length of what is encrypted."""

from __future__ import annotations

from typing import Final

MIN_PADDED_BYTES: Final = 64
"""Size to which shorter data is padded."""
_END: Final = b"\x80"
"""Between the data and its padding of zeros (ISO/IEC 7816-4)."""


def pad(data: bytes, min_bytes: int = 0) -> bytes:
    """Return data with its padding, as long as if it had at least ``min_bytes``."""
    return (data + _END).ljust(padded_size(max(len(data), min_bytes)), b"\0")


def unpad(padded: bytes) -> bytes | None:
    """Return the data that ``pad`` padded; None if there is no padding."""
    data = padded.rstrip(b"\0")
    return data[:-1] if data.endswith(_END) else None


def padded_size(size: int) -> int:
    """Return the size of ``size`` bytes with their padding: at least 64, then by Padmé.

    Padmé (Nikitin et al. 2019, section 4) keeps the first log2 log2 bits of a size, so that padding
    adds at most 12 %.
    """
    size += len(_END)
    if size <= MIN_PADDED_BYTES:
        return MIN_PADDED_BYTES
    exponent = size.bit_length() - 1
    mask = (1 << exponent - exponent.bit_length()) - 1
    return size + mask & ~mask


def max_unpadded_size(limit: int) -> int:
    """Return the largest size that is at most ``limit`` with its padding; 0 if there is none."""
    size = max(0, limit - len(_END))
    while size and padded_size(size) > limit:
        size -= 1
    return size
