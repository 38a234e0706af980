"""A log file per node, though thousands of nodes share a process and its loggers.

A record that a node makes says in ``record.node`` which node that is, by its id.
"""

from __future__ import annotations

import logging
from pathlib import Path


class NodeLogHandler(logging.Handler):
    """Writes each record to ``NAME.log`` of the node that made it.

    No file stays open: ten thousand nodes have ten thousand sockets, and a limit to keep;
    a record costs some 20 µs more that way, and is rare. Records of no node pass by, for
    other handlers.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._directory = directory
        self._paths: dict[bytes, str] = {}

    def create_log(self, node_id: bytes, name: str) -> None:
        """Begin a node's file, empty; OSError where it can't be written."""
        path = str(self._directory / f"{name}.log")
        with open(path, "w"):
            self._paths[node_id] = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. A file that can't be written costs the record, nothing else."""
        path = self._paths.get(getattr(record, "node", b""))
        if path is None:
            return
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(self.format(record) + "\n")
        except OSError:  # a full disk: to say so for every record would fill another
            pass
        except Exception:
            self.handleError(record)


class NoNodeFilter(logging.Filter):
    """Passes the records that no node made."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is such a one."""
        return not hasattr(record, "node")
