"""Words to the service manager: that the node listens, how it is, and that its loop turns.

The protocol of sd_notify(3): datagrams to the Unix socket that ``NOTIFY_SOCKET`` names.
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
    """Tells a service manager of a node, where there is one; else it does nothing."""

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
        # That this greenlet has its turns is what the watchdog wants to know.
        while True:
            gevent.sleep(self._interval)
            self._send("WATCHDOG=1", self._status())

    def _status(self) -> str:
        joined = "joined" if self._node.joined else "not joined yet"
        return f"STATUS={joined}, {len(self._node.table)} contacts"

    def _send(self, *lines: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                logger.warning("the service manager can't be told: %s", error.strerror)


def _socket_address(name: str) -> str:
    """What to send to; a name that begins with ``@`` is one without a file."""
    return "\0" + name[1:] if name.startswith("@") else name


def _watchdog_seconds() -> float:
    """How often the service manager wants to hear that all is well; for ever where never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return float("inf")
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return float("inf")
