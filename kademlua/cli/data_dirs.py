"""The data directories of nodes, and the optional lmdb package that reads them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click
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
    """Return the platform's default data directory of the node on a port.

    Raises:
        click.ClickException: the user has no home directory.
    """
    try:
        path = platformdirs.user_data_path("kademlua", appauthor=False)
    except RuntimeError:
        path = Path()
    if not path.is_absolute():  # neither HOME nor an entry in passwd, as in some containers
        raise click.ClickException("the user has no home directory; use --data")
    return path / str(port)


def data_dir_for_node(port: int, path: Path | None) -> Path | None:
    """Return the data directory of the node to run, or None to keep its data in memory.

    Without a ``path``, a node stays in memory if it uses any free port (0), lmdb is missing or the
    user has no home directory.
    """
    if path is not None:
        return path
    if port == 0:
        return None
    if not is_installed("lmdb"):
        logger.warning("this node saves no data because %s", install_hint("lmdb", "disk"))
        return None
    try:
        return default_data_dir(port)
    except click.ClickException as error:
        logger.warning("this node saves no data because %s", error.message)
        return None
