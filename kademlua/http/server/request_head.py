"""RequestHead: the header fields of a request, read strictly and with limits (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

MAX_HEAD_BYTES = 16_384
"""Bytes of all header fields together."""
MAX_FIELDS = 64
_FIELD_PATTERN = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r?\n"
)
_REQUEST_LINE_PATTERN = re.compile(r"[A-Z]{1,20} [!-~]+ HTTP/1\.[01]\r?\n")
_SINGLETON_FIELDS = {
    "authorization",
    "content-length",
    "content-type",
    "host",
    "origin",
    "transfer-encoding",
}
"""Fields that make a request ambiguous if they occur twice."""


class RequestRefused(ValueError):
    """A request that is not read further, and the status of its reply."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class LineSource(Protocol):
    """A source of lines."""

    def readline(self, size: int = -1, /) -> bytes: ...


class RequestHead(dict[str, str]):
    """Header fields by lower-case name, with the interface that gevent's server expects."""

    status = ""

    @classmethod
    def read(cls, source: LineSource) -> RequestHead:
        """Read the fields up to the empty line; RequestRefused if they are too long or invalid."""
        head, remaining = cls(), MAX_HEAD_BYTES
        for _ in range(MAX_FIELDS + 1):
            line = source.readline(remaining)
            if line in (b"\r\n", b"\n"):
                return head
            remaining -= len(line)
            if remaining <= 0:
                break
            field = _FIELD_PATTERN.fullmatch(line)
            if field is None:
                raise RequestRefused("400 Bad Request")
            head._add_field(field[1].decode().lower(), field[2].decode("latin-1"))
        raise RequestRefused("431 Request Header Fields Too Large")

    def _add_field(self, name: str, value: str) -> None:
        if name in self:
            if name in _SINGLETON_FIELDS:
                raise RequestRefused("400 Bad Request")
            value = f"{self[name]}, {value}"
        self[name] = value

    def body_length(self, limit: int) -> int:
        """Return the size of the body; RequestRefused if it is unknown or over ``limit``.

        Chunked bodies are refused: gevent would read them byte by byte.
        """
        if "transfer-encoding" in self:
            raise RequestRefused("411 Length Required")
        length = self.get("content-length") or "0"
        if not (length.isascii() and length.isdecimal()):
            raise RequestRefused("400 Bad Request")
        if len(length) > 12 or int(length) > limit:
            raise RequestRefused("413 Content Too Large")
        return int(length)

    # The interface of an email message, which gevent's server expects.

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return the value of a field."""
        return super().get(name.lower(), default)

    getheader = get

    @property
    def typeheader(self) -> str | None:
        """The content type."""
        return self.get("content-type")

    @property
    def headers(self) -> Iterator[str]:
        """The fields as lines."""
        return (f"{name}: {value}" for name, value in self.items())


def check_request_line(line: str) -> None:
    """Raise RequestRefused for anything but an HTTP/1.0 or 1.1 request."""
    if _REQUEST_LINE_PATTERN.fullmatch(line) is None:
        raise RequestRefused("400 Bad Request")
