"""HostResolver: the IP addresses of bootstrap nodes that are given by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import gevent.socket
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from kademlua.core.contact import LINK_LOCAL_MESSAGE, canonical_address, is_link_local

_CONCURRENCY: Final = 4
"""Names resolved at the same time. Each occupies a thread of gevent's pool, as disk writes do."""


class HostResolver:
    """Resolves host names in greenlets of its own, which exist only meanwhile."""

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._waiting: dict[str, list[Callable[[list[str]], None]]] = {}
        """The functions to call, by name."""
        self._failed: set[str] = set()
        """Names that caused a warning."""
        self._greenlets = Group()
        self._slots = BoundedSemaphore(_CONCURRENCY)

    def close(self) -> None:
        """Stop; no function is called any more. Idempotent."""
        self._greenlets.kill()

    def resolve(self, host: str, on_resolved: Callable[[list[str]], None]) -> None:
        """Resolve a name, and call a function with its IP addresses: none if that fails.

        Requests for a name that is being resolved share the result. A failure is logged once.
        """
        waiting = self._waiting.get(host)
        if waiting is not None:
            waiting.append(on_resolved)
            return
        self._waiting[host] = [on_resolved]
        self._greenlets.spawn(self._run, host)

    def _run(self, host: str) -> None:
        with self._slots:
            addresses = self._lookup(host)
        for on_resolved in self._waiting.pop(host):
            on_resolved(addresses)

    def _lookup(self, host: str) -> list[str]:
        try:
            host.encode("idna")  # in a thread, gevent would print the traceback of its failure
            rows = gevent.socket.getaddrinfo(host, None, type=gevent.socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:  # the latter for names that cannot be encoded
            self._warn(host, getattr(error, "strerror", None) or "not a host name")
            return []
        found = [canonical_address(str(row[4][0]).partition("%")[0]) for row in rows]
        usable = [addr for addr, address_bytes in found if not is_link_local(address_bytes)]
        if not usable:
            self._warn(host, LINK_LOCAL_MESSAGE)
        return list(dict.fromkeys(usable))

    def _warn(self, host: str, reason: str) -> None:
        if host not in self._failed:
            self._failed.add(host)
            self._log.warning("bootstrap address %s: %s", host, reason)
