"""Readiness, status and watchdog messages to the service manager.

The protocol is sd_notify(3): datagrams to the Unix socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import logging
import os
import socket

import gevent
from gevent import Greenlet

from kademlua.node.node import Node

logger = logging.getLogger(__name__)

_STATUS_SECONDS = 30.0


class SystemdNotifier:
    """Reports a node to the service manager, or does nothing without ``NOTIFY_SOCKET``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._address = _socket_address(os.environ.get("NOTIFY_SOCKET", ""))
        self._interval = min(_watchdog_seconds() / 2, _STATUS_SECONDS)
        self._greenlet: Greenlet[..., None] | None = None

    def __enter__(self) -> SystemdNotifier:
        if self._address:
            self._send("READY=1", self._status())
            self._greenlet = gevent.spawn(self._run_heartbeat)
        return self

    def __exit__(self, *_: object) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._send("STOPPING=1")

    def _run_heartbeat(self) -> None:
        # The watchdog checks that the event loop runs, which this greenlet proves.
        while True:
            gevent.sleep(self._interval)
            self._send("WATCHDOG=1", self._status())

    def _status(self) -> str:
        joined = "joined" if self._node.joined else "not joined yet"
        return f"STATUS={joined}, {len(self._node.table)} contacts"

    def _send(self, *lines: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0)
            try:
                channel.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                logger.warning("can't notify the service manager: %s", error.strerror or error)


def _socket_address(name: str) -> str:
    """Return the socket address; ``@`` marks Linux's abstract namespace."""
    return "\0" + name[1:] if name.startswith("@") else name


def _watchdog_seconds() -> float:
    """Return the watchdog timeout in seconds, or infinity without a watchdog."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return float("inf")
    try:
        microseconds = int(os.environ["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return float("inf")
    return microseconds / 1e6 if microseconds > 0 else float("inf")
