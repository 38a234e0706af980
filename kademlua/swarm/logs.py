"""One log file per node, for many nodes that share a process and its loggers.

``record.node`` is the id of the node that created a record.
"""

from __future__ import annotations

import logging
from pathlib import Path

from kademlua.terminal.log_format import LineFormatter


class NodeLogHandler(logging.Handler):
    """Appends each record to ``NAME.log`` of its node, and ignores records without a node.

    No file stays open, because the sockets of the nodes need most of the descriptors.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._directory = directory
        self._paths: dict[bytes, str] = {}

    def create_log(self, node_id: bytes, name: str) -> None:
        """Create or truncate a node's file.

        Raises:
            OSError: the file is not writable.
        """
        path = str(self._directory / f"{name}.log")
        with open(path, "w"):
            self._paths[node_id] = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; drop it if its file is not writable."""
        path = self._paths.get(getattr(record, "node", b""))
        if path is None:
            return
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(self.format(record) + "\n")
        except OSError:  # such as a full disk; a message per record would flood standard error
            pass
        except Exception:
            self.handleError(record)


def has_no_node(record: logging.LogRecord) -> bool:
    """Return whether no node created the record."""
    return not hasattr(record, "node")


def unwritable_log_message(error: OSError) -> str:
    """Return what to do about a log file or directory that is not writable."""
    return (
        f"can't write {error.filename}: {error.strerror}; choose another directory with --log-dir"
    )
