"""The data directories of nodes, and the optional lmdb package that reads them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from kademlua.cli.extras import install_hint, is_installed, require_package
from kademlua.core.params import Params

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)


def open_state(path: Path, params: Params, *, in_background: bool = True) -> NodeState:
    """Open a data directory.

    Raises:
        StorageError: the directory cannot be used.
        click.ClickException: lmdb is not installed.
    """
    require_package("lmdb", "disk")
    from kademlua.storage.node_state import NodeState

    return NodeState(path, params, in_background=in_background)


def default_data_dir(port: int) -> Path:
    """Return the platform's default data directory of the node on a port."""
    return platformdirs.user_data_path("kademlua", appauthor=False) / str(port)


def data_dir_for_node(port: int, path: Path | None) -> Path | None:
    """Return the data directory of the node to run, or None to keep its data in memory.

    Without a ``path``, a node on any free port (0) or without lmdb stays in memory.
    """
    if path is None and port == 0:
        return None
    if path is None and not is_installed("lmdb"):
        logger.warning("this node saves no data because %s", install_hint("lmdb", "disk"))
        return None
    return path or default_data_dir(port)
