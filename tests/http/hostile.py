"""A hostile client in a separate process: ``python -m tests.http.hostile PORT KIND COUNT``.

It prints a line when the attack has started, and stops when its input ends.
"""

from __future__ import annotations

import resource
import socket
import sys
import threading
import time
from collections.abc import Callable

REQUEST = b"POST /v1/values/key HTTP/1.1\r\nHost: localhost\r\n"


def half_open(sock: socket.socket) -> None:
    """Send half a request line, and nothing more."""
    sock.sendall(b"GET /heal")
    time.sleep(60)


def endless_head(sock: socket.socket) -> None:
    """Send header fields without an end, as fast as the server reads them."""
    sock.sendall(REQUEST)
    while True:
        sock.sendall(b"X-Field: value\r\n" * 1_000)


def endless_line(sock: socket.socket) -> None:
    """Send a request line without an end."""
    sock.sendall(b"GET /")
    while True:
        sock.sendall(b"x" * 65_536)


def dripping(sock: socket.socket) -> None:
    """Send a request head byte by byte."""
    for byte in REQUEST * 100:
        sock.sendall(bytes([byte]))
        time.sleep(0.05)


def short_body(sock: socket.socket) -> None:
    """Send a body shorter than its Content-Length."""
    sock.sendall(REQUEST + b"Content-Length: 10000\r\n\r\nabc")
    time.sleep(60)


def long_body(sock: socket.socket) -> None:
    """Send a body that is larger than the limit."""
    sock.sendall(REQUEST + b"Content-Length: 99999999999\r\n\r\n")
    while True:
        sock.sendall(b"x" * 65_536)


def junk(sock: socket.socket) -> None:
    """Send bytes that are not HTTP."""
    sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 1_000 + b"\r\n\r\n")
    sock.recv(1_000)


def refused(sock: socket.socket) -> None:
    """Keep a connection open after its request was refused."""
    sock.sendall(b"nonsense\r\n\r\n")
    time.sleep(60)


def unread(sock: socket.socket) -> None:
    """Send requests without reading the replies."""
    while True:
        sock.sendall(b"GET /v1/contacts HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)


KINDS: dict[str, Callable[[socket.socket], None]] = {
    each.__name__: each
    for each in (
        half_open, endless_head, endless_line, dripping, short_body, long_body, junk, refused,
        unread,
    )
}  # fmt: skip


def attack(port: int, kind: Callable[[socket.socket], None]) -> None:
    """Repeat an attack, each time on a new connection."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
                kind(sock)
        except OSError:
            time.sleep(0.05)


def main() -> None:
    port, kind, count = int(sys.argv[1]), KINDS[sys.argv[2]], int(sys.argv[3])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4_096), most))
    threading.stack_size(131_072)
    for _ in range(count):
        threading.Thread(target=attack, args=(port, kind), daemon=True).start()
    time.sleep(1)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
