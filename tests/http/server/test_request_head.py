"""Heads of requests: read to the letter, and with bounds."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.http.server.request_head import (
    MAX_HEAD_BYTES,
    RequestHead,
    RequestRefused,
    check_request_line,
)


def read(text: bytes) -> RequestHead:
    return RequestHead.read(BytesIO(text))


def status_of(text: bytes) -> str:
    with pytest.raises(RequestRefused) as refused:
        read(text)
    return refused.value.status[:3]


def test_fields_are_read_by_any_case_of_their_names():
    head = read(b"Host: localhost\r\nX-Some:  a b \t\r\nX-SOME:c\r\nEmpty:\r\n\r\nbody")
    assert head.get("HOST") == "localhost"
    assert head.get("x-some") == "a b, c"
    assert head.get("empty") == ""
    assert head.get("missing", "default") == "default"
    assert list(head.headers) == ["host: localhost", "x-some: a b, c", "empty: "]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Host: localhost",
        b"Host: localhost\r\n",
        b"no colon\r\n\r\n",
        b": no name\r\n\r\n",
        b"Space : before\r\n\r\n",
        b" Folded: line\r\n\r\n",
        b"A: 1\r\n folded\r\n\r\n",
        b"A: nul\0\r\n\r\n",
        b"A: return\rB: 2\r\n\r\n",
        b"Host: a\r\nHost: b\r\n\r\n",
        b"Content-Length: 1\r\ncontent-length: 1\r\n\r\n",
    ],
)
def test_what_is_no_head_is_refused(text):
    assert status_of(text) == "400"


@pytest.mark.parametrize(
    "text",
    [
        b"A: " + b"x" * MAX_HEAD_BYTES,
        b"A: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"".join(b"A%d: x\r\n" % number for number in range(100)) + b"\r\n",
        b"A: xxxxxxxx\r\n" * 10_000 + b"\r\n",
    ],
)
def test_what_is_too_long_is_refused(text):
    assert status_of(text) == "431"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(text):
    try:
        head = read(text)
    except RequestRefused:
        return
    for name, value in head.items():
        assert name == name.lower().strip()
        assert not set(value) & set("\r\n\0")


@pytest.mark.parametrize(
    ("fields", "length"),
    [(b"", 0), (b"Content-Length: 0\r\n", 0), (b"Content-Length: 0100\r\n", 100)],
)
def test_the_length_of_a_body(fields, length):
    assert read(fields + b"\r\n").body_length(100) == length


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 101\r\n", "413"),
        (b"Content-Length: 99999999999999999999\r\n", "413"),
        (b"Content-Length: -1\r\n", "400"),
        (b"Content-Length: +1\r\n", "400"),
        (b"Content-Length: 1_0\r\n", "400"),
        (b"Content-Length: 1, 1\r\n", "400"),
        (b"Content-Length: \xb2\r\n", "400"),
        (b"Transfer-Encoding: chunked\r\n", "411"),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n", "411"),
    ],
)
def test_a_length_that_is_none_or_too_large_is_refused(fields, status):
    with pytest.raises(RequestRefused, match=status):
        read(fields + b"\r\n").body_length(100)


@pytest.mark.parametrize(
    "line",
    ["", "\r\n", "GET /\r\n", "GET / HTTP/0.9\r\n", "GET / HTTP/2.0\r\n", "GET  / HTTP/1.1\r\n",
     "get / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET /\xff HTTP/1.1\r\n", "GET / HTTP/1.1"],
)  # fmt: skip
def test_what_is_no_request_line_is_refused(line):
    with pytest.raises(RequestRefused, match="400"):
        check_request_line(line)


def test_request_lines_of_both_versions_are_taken():
    check_request_line("GET /a?b HTTP/1.1\r\n")
    check_request_line("DELETE * HTTP/1.0\n")
