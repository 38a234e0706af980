"""BlockForm: how the blocks and the root of an object become the values of its records."""

from __future__ import annotations

from typing import Any, Final, Protocol

from kademlua.core.wire import bencoding

_ROOT_START: Final = b"d5:blocki"


class BlockForm(Protocol):
    """Encodes blocks and roots. Equal ones have equal records, so that they are stored once."""

    def encode(self, content: Any, block_bytes: int) -> bytes:
        """Return a record, bencoded, with a block or a root of an object with this block size."""

    def decode(self, value: Any) -> Any:
        """Return the block or root in a record's value.

        Raises:
            MalformedObject: The record does not have this form.
        """

    def record_bytes(self, size: int) -> int:
        """Return the size of the record of a block or root of ``size`` bytes, at most."""

    def may_be_root(self, encoded: bytes) -> bool:
        """Return False if a bencoded value need not be decoded to see that it is no root."""


class PlainForm:
    """The form without encryption: records have the blocks and roots themselves."""

    def encode(self, content: Any, block_bytes: int) -> bytes:
        """Return the content, bencoded."""
        return bencoding.encode(content)

    def decode(self, value: Any) -> Any:
        """Return the value."""
        return value

    def record_bytes(self, size: int) -> int:
        """Return the size."""
        return size

    def may_be_root(self, encoded: bytes) -> bool:
        """Return whether the value begins as roots do."""
        return encoded.startswith(_ROOT_START)


PLAIN: Final = PlainForm()
