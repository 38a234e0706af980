"""Streams that may block, for a program on gevent."""

from __future__ import annotations

import gevent

from kademlua.objects.writer import ByteStream


class PooledStream:
    """A stream that is read in a thread of the hub's pool, and blocks only this greenlet."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes | None:
        """Read from the stream."""
        return gevent.get_hub().threadpool.apply(self._stream.read, (size,))
