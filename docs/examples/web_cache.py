"""A cache that web workers share, and that outlives each of them.

    gunicorn --workers 4 web_cache:app
    curl -i http://127.0.0.1:8000/largest-prime-below/2000000

It joins through a node on port 8001 (``kademlua node 8001``), or at ``CACHE_BOOTSTRAP=HOST:PORT``.

Each worker creates its node when it imports this module, after the fork. Do not use ``--preload``.
It works with gunicorn's workers ``sync``, ``gthread`` and ``gevent``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import kademlua

TTL = 60
"""Seconds until a result expires."""


class Cache:
    """Results by name. A failure of the network is a cache miss."""

    def __init__(self, node: kademlua.ThreadedNode) -> None:
        self._node = node

    def get(self, name: str) -> bytes | None:
        """Return the newest result of any worker, or None."""
        try:
            answers = self._node.find_value(key_of(name), max_nodes=1)
        except kademlua.KademluaError:
            return None
        values = (value for answer in answers for value in answer.values)
        return max(filter(None, map(unexpired, values)), default=(0, None))[1]

    def put(self, name: str, body: bytes) -> None:
        """Store a result for all workers."""
        try:
            value = {"until": int(time.time()) + TTL, "body": body}
            self._node.add(key_of(name), value, ttl=TTL)
        except kademlua.KademluaError:
            pass  # the next worker computes it again


def key_of(name: str) -> bytes:
    """Return the key of a result."""
    return kademlua.sha1(f"cache: {name}")


def unexpired(value: Any) -> tuple[int, bytes] | None:
    """Return the expiry and the result in a value; None if malformed or expired."""
    now = time.time()
    match value:
        case {b"until": int(until), b"body": bytes(body)} if now < until <= now + TTL:
            return until, body
    return None


def largest_prime_below(bound: int) -> int:
    """Return the largest prime below a bound: the slow work."""
    return next(
        (n for n in range(bound - 1, 1, -1) if all(n % d for d in range(2, int(n**0.5) + 1))), 0
    )


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request (WSGI)."""
    path: str = environ["PATH_INFO"]
    _, _, number = path.partition("/largest-prime-below/")
    if not number.isdecimal() or len(number) > 8:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"try /largest-prime-below/2000000\n"]
    body = cache.get(path)
    is_hit = body is not None
    if body is None:
        body = b"%d, says worker %d\n" % (largest_prime_below(int(number)), os.getpid())
        cache.put(path, body)
    headers = [
        ("Content-Type", "text/plain"),
        ("X-Cache", "hit" if is_hit else "miss"),
        ("X-Worker", str(os.getpid())),
    ]
    start_response("200 OK", headers)
    return [body]


def joined_node() -> kademlua.ThreadedNode:
    """Return this worker's node. It closes when the worker exits."""
    host, _, port = os.environ.get("CACHE_BOOTSTRAP", "127.0.0.1:8001").rpartition(":")
    node = kademlua.ThreadedNode(bootstrap=[(host, int(port))])
    node.start()
    node.wait_joined()
    return node


cache = Cache(joined_node())
