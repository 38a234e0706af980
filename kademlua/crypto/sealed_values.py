"""Secret values: the sealed form that holders keep, and back."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.errors import WireError
from kademlua.core.params import Params
from kademlua.core.values.validation import validate_value
from kademlua.core.wire import replies
from kademlua.crypto.secret import Secret, max_value_bytes, sealed_bytes

_PREFIX_BYTES: Final = len(b"12345:")
"""What bencoding adds to a sealed value, which has up to 5 digits of bytes."""


def seal_value(secret: Secret, value: Any, blinded: bytes, params: Params) -> bytes:
    """Return the sealed form of a value under a blinded key.

    TypeError or ValueError if the value is invalid, or too large in this form.
    """
    encoded = validate_value(value, params)
    check_sealed_size(encoded, params)
    return secret.seal(encoded, blinded)


def check_sealed_size(encoded: bytes, params: Params) -> None:
    """Raise ValueError if the sealed form of a bencoded value is too large."""
    limit = params.max_value_bytes - _PREFIX_BYTES
    if sealed_bytes(len(encoded)) > limit:
        raise ValueError(
            f"a secret value has at most {max_value_bytes(limit):,} bytes, bencoded; this one has"
            f" {len(encoded):,}"
        )


def open_value(secret: Secret, sealed: Any, blinded: bytes) -> Any | None:
    """Return the value of a sealed form; None if it was not made with the secret for this key."""
    return decode_opened(secret.open(sealed, blinded))


def decode_opened(encoded: bytes | None) -> Any | None:
    """Return the value that ``Secret.open`` returned bencoded; None if it is none."""
    if encoded is None:
        return None
    try:
        return replies.decode_value(encoded)
    except WireError:  # a holder of the secret encrypted what is no value
        return None
