"""A log file per node, though thousands of nodes share a process and its loggers.

The library logs by module; whose record one is tells the greenlet that made it: a node's
greenlets descend from the one that started it, and gevent hands the ``spawn_tree_locals`` of
a greenlet on to all that it spawns. (It does not hand on contextvars.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

_OWNER = "kademlua.swarm.logs"


@contextmanager
def owner(name: str) -> Iterator[None]:
    """What this greenlet logs in here is the node's of that name, and for good so what those
    log that it spawns in here."""
    current: Any = gevent.getcurrent()
    before = getattr(current, "spawn_tree_locals", None)
    current.spawn_tree_locals = {_OWNER: name}
    try:
        yield
    finally:
        current.spawn_tree_locals = before


def _owner() -> str:
    """The name of the node that the running greenlet belongs to, or nothing."""
    found = getattr(gevent.getcurrent(), "spawn_tree_locals", None)
    return found.get(_OWNER, "") if found else ""


class NodeLogs(logging.Handler):
    """Writes each record to ``NAME.log`` of the node whose greenlet made it.

    No file stays open: ten thousand nodes have ten thousand sockets, and a limit to keep;
    a record costs some 20 µs more that way, and is rare. Records of no node (of the hub's
    timers, say) pass by, for other handlers.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._directory = directory
        self._paths: dict[str, str] = {}

    def begin(self, name: str) -> None:
        """Begin a node's file, empty; OSError where it can't be written."""
        path = str(self._directory / f"{name}.log")
        with open(path, "w"):
            self._paths[name] = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. A file that can't be written costs the record, nothing else."""
        path = self._paths.get(_owner())
        if path is None:
            return
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(self.format(record) + "\n")
        except OSError:  # a full disk: to say so for every record would fill another
            pass
        except Exception:
            self.handleError(record)


class OfNoNode(logging.Filter):
    """Passes the records that no node's greenlet made."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is such a one."""
        return not _owner()
