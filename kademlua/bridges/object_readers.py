"""Objects for other threads and for asyncio: readers, and streams that are read in a thread."""

from __future__ import annotations

import functools
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

from kademlua.objects.reader import ObjectReader
from kademlua.objects.streams import PooledStream
from kademlua.objects.writer import ByteStream, ObjectSource

_P = ParamSpec("_P")
_R = TypeVar("_R")
_CHUNK_BYTES: Final = 262_144
"""Bytes of a part of an object that is iterated over."""


def reading_in_pool(
    method: Callable[Concatenate[Any, ObjectSource, _P], _R],
) -> Callable[Concatenate[Any, ObjectSource, _P], _R]:
    """Return a method that reads its source without blocking the thread of the node."""

    @functools.wraps(method)
    def call(part: Any, source: ObjectSource, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if hasattr(source, "read"):
            source = PooledStream(cast("ByteStream", source))
        return method(part, source, *args, **kwargs)

    return call


class _Cursor:
    """A position in a reader of another thread. A read that is interrupted there does not move it,
    also if it ended at that moment."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self.position = 0

    def seek(self, offset: int, whence: int) -> int:
        """Move to a position, and return it."""
        if whence == io.SEEK_CUR:
            offset, whence = self.position + offset, io.SEEK_SET
        self.position = self._reader.seek(offset, whence)
        return self.position

    def at_position(self, method: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Return a function that calls a method of the reader at the position."""
        return functools.partial(_call_at, self._reader, self.position, method, args)


def _call_at(
    reader: ObjectReader, position: int, method: Callable[..., Any], args: tuple[Any, ...]
) -> Any:
    reader.seek(position)
    return method(reader, *args)


class ThreadedObjectReader(io.RawIOBase):
    """An ``ObjectReader`` of a ``ThreadedNode``: the same methods, for one thread at a time."""

    def __init__(
        self,
        reader: ObjectReader,
        submit: Callable[[Callable[[], Any]], Any],
        post: Callable[[Callable[[], Any]], None],
    ) -> None:
        """Wrap a reader; ``submit`` and ``post`` run a function in its thread, and ``post`` does
        not wait."""
        self._reader = reader
        self._cursor = _Cursor(reader)
        self._submit = submit
        self._post = post
        self.key = reader.key
        """The key of the object."""
        self.size = reader.size
        """Bytes of the object."""
        self.block_bytes = reader.block_bytes
        """Bytes of a block; the last one may be shorter."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._cursor.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it; ValueError if it is negative."""
        return self._cursor.seek(offset, whence)

    def has_block(self, content: bytes) -> bool:
        """Return whether this is the block at the position; see ``ObjectReader.has_block``."""
        found: bool = self._submit(self._cursor.at_position(ObjectReader.has_block, content))
        return found

    def readall(self) -> bytes:
        """Return all bytes from the position to the end."""
        return self.read(max(0, self.size - self.tell())) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return the number of bytes; see ``ObjectReader.readinto``."""
        if self.closed:
            raise ValueError("the object is closed")
        view = memoryview(buffer).cast("B")
        data: bytes = self._submit(self._cursor.at_position(ObjectReader.read, len(view)))
        self._cursor.position += len(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Stop reading in advance. Idempotent."""
        if not self.closed:
            self._post(self._reader.close)
        super().close()


class AsyncObjectReader:
    """An ``ObjectReader`` of an ``AsyncNode``, whose reads are coroutines, for one task at a time.

    >>> async with await node.open_object(key) as reader:
    ...     async for part in reader:
    ...         print(len(part))
    """

    def __init__(
        self,
        reader: ObjectReader,
        submit: Callable[[Callable[[], Any]], Awaitable[Any]],
        post: Callable[[Callable[[], Any]], None],
    ) -> None:
        """Wrap a reader; ``submit`` and ``post`` run a function in its thread, and ``post`` does
        not wait."""
        self._reader = reader
        self._cursor = _Cursor(reader)
        self._submit = submit
        self._post = post
        self.key = reader.key
        """The key of the object."""
        self.size = reader.size
        """Bytes of the object."""

    async def __aenter__(self) -> AsyncObjectReader:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the rest of the object in parts."""
        while part := await self.read(_CHUNK_BYTES):
            yield part

    async def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; the rest if it is negative. If it is
        cancelled, the position stays.

        Raises:
            BlockMissing, MalformedObject, NodeClosed, ValueError: see ``ObjectReader.readinto``.
        """
        data: bytes = await self._submit(self._cursor.at_position(ObjectReader.read, size))
        self._cursor.position += len(data)
        return data

    def tell(self) -> int:
        """Return the position."""
        return self._cursor.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it; ValueError if it is negative."""
        return self._cursor.seek(offset, whence)

    def close(self) -> None:
        """Stop reading in advance. Idempotent."""
        self._post(self._reader.close)
