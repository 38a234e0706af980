"""Head: the header fields of a request, read with bounds and without leniency (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

MAX_HEAD_BYTES = 16_384
"""Bytes of all header fields together, at most."""
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
"""Fields of which two make a request ambiguous."""


class RequestRefused(ValueError):
    """A request that is not read any further, and the status that it is answered with."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class LineSource(Protocol):
    """Where lines are read from."""

    def readline(self, size: int = -1, /) -> bytes: ...


class RequestHead(dict[str, str]):
    """Header fields by name in small letters; has what gevent's server asks of a message."""

    status = ""

    @classmethod
    def read(cls, source: LineSource) -> RequestHead:
        """The fields up to the empty line; RequestRefused for what is too long or no field."""
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
        """Bytes of the body; RequestRefused where that is not said by a number, or too many.

        A chunked body would be read byte by byte, which takes long.
        """
        if "transfer-encoding" in self:
            raise RequestRefused("411 Length Required")
        length = self.get("content-length") or "0"
        if not (length.isascii() and length.isdecimal()):
            raise RequestRefused("400 Bad Request")
        if len(length) > 12 or int(length) > limit:
            raise RequestRefused("413 Content Too Large")
        return int(length)

    # As an email message, which is what gevent's server takes it for.

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value of a field."""
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
    """RequestRefused for what is no request of HTTP/1.0 or 1.1."""
    if _REQUEST_LINE_PATTERN.fullmatch(line) is None:
        raise RequestRefused("400 Bad Request")
