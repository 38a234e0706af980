"""The records of an object: written from its content, and checked when they are read.

A record other than the root is a byte string. The root is a dictionary with ``block``, the block
size, ``content``, what the block of the top level holds, ``object``, the version of this form,
and ``size``. This is the plain form; ``BlockForm`` turns it into another one and back. See
``docs/protocol-objects.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.objects.errors import MalformedObject
from kademlua.core.objects.form import PLAIN, BlockForm
from kademlua.core.objects.layout import DEFAULT_BLOCK_BYTES, Layout, check_block_bytes
from kademlua.core.values.records import immutable_key
from kademlua.core.wire import bencoding

VERSION: Final = 1
"""The version of the form, in the root."""
_FIELDS: Final = frozenset((b"block", b"content", b"object", b"size"))


@dataclass(frozen=True, slots=True)
class Block:
    """One record of an object."""

    key: bytes
    encoded: bytes
    """The record, bencoded."""
    content_bytes: int = 0
    """How many bytes of the object itself it holds; 0 if it holds keys."""


class TreeBuilder:
    """Turns content into records, with a few blocks in memory.

    The records come out bottom-up: a record follows all those whose keys it holds.
    """

    __slots__ = ("_block_bytes", "_form", "_has_blocks", "_keys_bytes", "_pending", "size")

    def __init__(self, block_bytes: int = DEFAULT_BLOCK_BYTES, form: BlockForm = PLAIN) -> None:
        """Prepare; ValueError if the block size is out of range."""
        check_block_bytes(block_bytes)
        self._block_bytes = block_bytes
        self._form = form
        self._keys_bytes = block_bytes // ID_BYTES * ID_BYTES
        self._pending: list[bytearray] = [bytearray()]
        """By level, the content that is in no record yet."""
        self._has_blocks: list[bool] = [False]
        """By level, whether a record was made."""
        self.size = 0
        """Bytes of content so far."""

    def add(self, data: bytes) -> list[Block]:
        """Add content, and return the records that are complete."""
        self.size += len(data)
        blocks: list[Block] = []
        self._append(0, data, blocks)
        return blocks

    def finish(self) -> list[Block]:
        """Return the remaining records; the last one is the root."""
        blocks: list[Block] = []
        level = 0
        while self._has_blocks[level]:
            self._emit(level, len(self._pending[level]), blocks)
            level += 1
        content = bytes(self._pending[level])
        blocks.append(root_block(self.size, self._block_bytes, content, self._form))
        return blocks

    def _append(self, level: int, data: bytes, blocks: list[Block]) -> None:
        pending = self._pending[level]
        pending += data
        full = self._keys_bytes if level else self._block_bytes
        while len(pending) > full:  # a single full block is the top one, and part of the root
            self._emit(level, full, blocks)

    def _emit(self, level: int, count: int, blocks: list[Block]) -> None:
        """Make a record of the first bytes of a level, and add its key to the level above."""
        content = bytes(self._pending[level][:count])
        del self._pending[level][:count]
        encoded = self._form.encode(content, self._block_bytes)
        block = Block(immutable_key(encoded), encoded, 0 if level else count)
        blocks.append(block)
        self._has_blocks[level] = True
        if level + 1 == len(self._pending):
            self._pending.append(bytearray())
            self._has_blocks.append(False)
        self._append(level + 1, block.key, blocks)


def root_block(size: int, block_bytes: int, content: bytes, form: BlockForm = PLAIN) -> Block:
    """Return the root of an object."""
    root: dict[bytes, Any] = {
        b"block": block_bytes,
        b"content": content,
        b"object": VERSION,
        b"size": size,
    }
    encoded = form.encode(root, block_bytes)
    return Block(immutable_key(encoded), encoded, size if size <= block_bytes else 0)


@dataclass(frozen=True, slots=True)
class ObjectRoot:
    """The root of an object, checked."""

    layout: Layout
    content: bytes
    """The content of the top level's block."""


def parse_root(value: Any) -> ObjectRoot:
    """Return the root in a record's value.

    Raises:
        MalformedObject: it is none, or contradicts itself.
    """
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise MalformedObject("the record is no object, or one with a secret")
    block_bytes, content = value[b"block"], value[b"content"]
    version, size = value[b"object"], value[b"size"]
    if version != VERSION:
        raise MalformedObject("the object has an unknown version")
    if type(block_bytes) is not int or type(size) is not int:
        raise MalformedObject("the root of the object has no sizes")
    try:
        layout = Layout(size, block_bytes)
    except ValueError as error:
        raise MalformedObject(f"the root of the object lies: {error}") from None
    return ObjectRoot(layout, check_content(content, layout, layout.top_level, 0))


def root_of(encoded: bytes, form: BlockForm = PLAIN) -> ObjectRoot | None:
    """Return the root in a bencoded value; None if it is no root."""
    if not form.may_be_root(encoded):
        return None
    try:
        return parse_root(form.decode(bencoding.decode(encoded)))
    except (MalformedObject, WireError):
        return None


def check_content(value: Any, layout: Layout, level: int, index: int) -> bytes:
    """Return the content in a record's value; MalformedObject if it does not fit its place."""
    expected = layout.content_bytes(level, index)
    if type(value) is not bytes or len(value) != expected:
        raise MalformedObject(
            f"block {index} of level {level} of the object is not {expected:,} bytes"
        )
    return value


def child_key(content: bytes, position: int) -> bytes:
    """Return a key in the content of a block above level 0."""
    return content[ID_BYTES * position : ID_BYTES * (position + 1)]
