"""Readiness, status and watchdog messages to the service manager.

The protocol is sd_notify(3): datagrams to the Unix socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import logging
import math
import os
import socket

import gevent
from gevent import Greenlet

from kademlua.node.node import Node
from kademlua.runtime.safe_logger import SafeLogger

logger = SafeLogger(logging.getLogger(__name__))

_STATUS_SECONDS = 30.0
_MIN_WATCHDOG_SECONDS = 0.01
"""A shorter timeout would keep the node busy with messages."""


class SystemdNotifier:
    """Reports a node to the service manager, or does nothing without ``NOTIFY_SOCKET``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._address = _socket_address(os.environ.get("NOTIFY_SOCKET", ""))
        self._interval = min(_watchdog_seconds() / 2, _STATUS_SECONDS)
        self._is_heard = True
        """Whether the last message was sent, so that one warning is logged for many failures."""
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
        # The watchdog checks that the event loop runs, which this greenlet proves, and upkeep.
        while True:
            gevent.sleep(self._interval)
            if self._node.healthy:
                self._send("WATCHDOG=1", self._status())
            else:
                self._send(f"STATUS={self._node.datastore.damage or 'maintenance is stuck'}")

    def _status(self) -> str:
        joined = "joined" if self._node.joined else "not joined yet"
        return f"STATUS={joined}, {len(self._node.table)} contacts"

    def _send(self, *lines: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(0)
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if self._is_heard:
                logger.warning("can't notify the service manager: %s", error.strerror or error)
            self._is_heard = False
        else:
            self._is_heard = True


def _socket_address(name: str) -> str:
    """Return the socket address; ``@`` marks Linux's abstract namespace."""
    return "\0" + name[1:] if name.startswith("@") else name


def _watchdog_seconds() -> float:
    """Return the watchdog timeout in seconds, or infinity without a watchdog."""
    text = os.environ.get("WATCHDOG_USEC")
    if text is None or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    # The length is limited because Python refuses to convert thousands of digits.
    seconds = int(text) / 1e6 if text.isascii() and text.isdigit() and len(text) <= 20 else 0
    if seconds >= _MIN_WATCHDOG_SECONDS:
        return seconds
    logger.warning("WATCHDOG_USEC=%.40s is ignored: it must be %d or more", text, 1e4)
    return math.inf
