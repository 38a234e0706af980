"""ObjectReader: an object as a file that is read, in which each byte is verified."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any, Final

import gevent
from gevent.event import AsyncResult
from gevent.pool import Group

from kademlua.core.errors import KademluaError
from kademlua.core.objects.errors import BlockMissing, ObjectError, ObjectNotFound
from kademlua.core.objects.form import PLAIN, BlockForm
from kademlua.core.objects.layout import Layout
from kademlua.core.objects.tree import ObjectRoot, check_content, child_key, parse_root
from kademlua.core.values.records import immutable_key
from kademlua.objects.block_store import BlockStore

_MAX_READ_AHEAD: Final = 64
"""Blocks that are requested before they are read, if the object is read from front to back."""
_KEPT_BLOCKS: Final = 16
"""Blocks of keys that are kept."""


class BlockTree:
    """The blocks of one object, found in the network and checked."""

    def __init__(self, blocks: BlockStore, root: ObjectRoot, form: BlockForm) -> None:
        self._blocks = blocks
        self._form = form
        self._root = root
        self.layout: Layout = root.layout
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        """Content of blocks of keys, by level and index."""

    def has_leaf(self, index: int, content: bytes) -> bool:
        """Return whether a block of level 0 has this content.

        Raises:
            BlockMissing, MalformedObject: a block above it is not found, or malformed.
        """
        key = self._block_key(0, index)
        if key is None:
            return content == self._root.content
        return immutable_key(self._form.encode(content, self.layout.block_bytes)) == key

    def leaves(self, indexes: range, results: dict[int, AsyncResult[bytes]]) -> None:
        """Find blocks of level 0, and set the results by index."""
        wanted: dict[bytes, list[int]] = {}
        for index in indexes:
            try:
                key = self._block_key(0, index)
            except ObjectError as error:
                results[index].set_exception(error)
                continue
            if key is None:
                results[index].set(self._root.content)
            else:
                wanted.setdefault(key, []).append(index)
        for key, value in self._blocks.get_blocks(list(wanted)):
            for index in wanted[key]:
                try:
                    results[index].set(self._checked(key, value, 0, index))
                except ObjectError as error:
                    results[index].set_exception(error)

    def _block_key(self, level: int, index: int) -> bytes | None:
        """Return the key of a block; None for the top level, which is in the root.

        Raises:
            BlockMissing, MalformedObject: a block above it is not found, or malformed.
        """
        layout = self.layout
        if level == layout.top_level:
            return None
        parent = self._keys(level + 1, index // layout.fan_out)
        return child_key(parent, index % layout.fan_out)

    def _keys(self, level: int, index: int) -> bytes:
        """Return the content of a block of keys."""
        kept = self._kept.get((level, index))
        if kept is not None:
            self._kept.move_to_end((level, index))
            return kept
        key = self._block_key(level, index)
        if key is None:
            return self._root.content
        ((_, value),) = self._blocks.get_blocks([key])
        content = self._checked(key, value, level, index)
        self._kept[level, index] = content
        if len(self._kept) > _KEPT_BLOCKS:
            self._kept.popitem(last=False)
        return content

    def _checked(self, key: bytes, value: Any, level: int, index: int) -> bytes:
        if value is None:
            first_leaf = index * self.layout.fan_out**level
            raise BlockMissing(key, first_leaf * self.layout.block_bytes)
        return check_content(self._form.decode(value), self.layout, level, index)


def find_tree(blocks: BlockStore, key: bytes, form: BlockForm = PLAIN) -> BlockTree:
    """Return the blocks of the object with this key.

    Raises:
        ObjectNotFound: no node has its root.
        MalformedObject: the record is no object of this form.
    """
    ((_, value),) = blocks.get_blocks([key])
    if value is None:
        raise ObjectNotFound(key)
    return BlockTree(blocks, parse_root(form.decode(value)), form)


class ObjectReader(io.RawIOBase):
    """An object, open for reading: a binary file with ``read``, ``readinto``, ``seek``, ``tell``.

    ``read(n)`` returns n bytes, fewer only at the end. Only verified bytes are returned. While the
    object is read from front to back, the next blocks are requested in advance. One greenlet
    may read at a time. Wrap it in ``io.BufferedReader`` to read lines.
    """

    def __init__(self, key: bytes, tree: BlockTree) -> None:
        self.key = key
        """The key of the object."""
        self._tree = tree
        self._layout = tree.layout
        self._position = 0
        self._leaf: tuple[int, bytes] = (-1, b"")
        """The index and content of the block that was read last."""
        self._requested: dict[int, AsyncResult[bytes]] = {}
        """The blocks that were requested and not read yet, in order."""
        self._read_ahead = 1
        self._greenlets: Group = Group()

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self._layout.size

    @property
    def block_bytes(self) -> int:
        """Bytes of a block; the last one may be shorter."""
        return self._layout.block_bytes

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it; ValueError if it is negative or the reader is closed.
        Nothing is fetched."""
        if self.closed:
            raise ValueError("the object is closed")
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError(f"invalid whence: {whence!r}")
        base = bases[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def readall(self) -> bytes:
        """Return all bytes from the position to the end."""
        return self.read(max(0, self.size - self._position)) or b""

    def has_block(self, content: bytes) -> bool:
        """Return whether this is the content of the block at the position, where one begins.

        A program that has a part of an object finds out what it need not read.

        Raises:
            BlockMissing, MalformedObject, NodeClosed: see ``readinto``.
        """
        return self._tree.has_leaf(self._position // self.block_bytes, content)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return the number of bytes. If it is interrupted, as by a
        ``gevent.Timeout``, the position stays.

        Raises:
            BlockMissing: no node has a block. The bytes before it can be read.
            MalformedObject: the author made the object malformed.
            NodeClosed: the node is closed.
            ValueError: the reader is closed.
        """
        if self.closed:
            raise ValueError("the object is closed")
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(0, self.size - self._position))
        done = 0
        while done < count:
            index, offset = divmod(self._position + done, self.block_bytes)
            try:
                part = self._content(index)[offset : offset + count - done]
            except KademluaError:
                if done:  # the next read raises it
                    break
                raise
            view[done : done + len(part)] = part
            done += len(part)
        self._position += done
        return done

    def close(self) -> None:
        """Stop reading in advance. Idempotent."""
        if not self.closed:
            self._forget_requested()
        super().close()

    def _content(self, index: int) -> bytes:
        """Return the content of a block of level 0."""
        last, content = self._leaf
        if index == last:
            return content
        if index == last + 1:
            self._read_ahead = min(2 * self._read_ahead, _MAX_READ_AHEAD)
        elif index not in self._requested:  # a jump
            self._read_ahead = 1
        if index not in self._requested:  # what was requested does not begin here
            self._forget_requested()
        for skipped in [each for each in self._requested if each < index]:
            del self._requested[skipped]
        self._request_from(index)
        try:
            found = self._requested[index].get()
        except KademluaError:  # the next read requests the block again
            self._forget_requested()
            raise
        del self._requested[index]
        assert found is not None
        self._leaf = (index, found)
        return found

    def _forget_requested(self) -> None:
        self._greenlets.kill(block=False)
        self._requested.clear()

    def _request_from(self, index: int) -> None:
        """Request blocks until as many as wanted are requested, unless most of them are."""
        if 2 * len(self._requested) > self._read_ahead:
            return
        start = index + len(self._requested)
        indexes = range(start, min(index + self._read_ahead, self._layout.leaf_count))
        results: dict[int, AsyncResult[bytes]] = {each: AsyncResult() for each in indexes}
        self._requested |= results
        self._greenlets.add(gevent.spawn(self._fetch, indexes, results))

    def _fetch(self, indexes: range, results: dict[int, AsyncResult[bytes]]) -> None:
        try:
            self._tree.leaves(indexes, results)
        except Exception as error:  # raised where the bytes are read
            for result in results.values():
                if not result.ready():
                    result.set_exception(error)
