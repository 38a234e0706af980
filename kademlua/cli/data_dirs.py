"""Where a command finds a node's data, and what to say where it can't be had."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kademlua.core.params import Params

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)

_INSTALL_HINT = "pip install 'kademlua[disk]' brings it"


def has_lmdb() -> bool:
    """Whether anything can be kept on disk."""
    return importlib.util.find_spec("lmdb") is not None


def require_lmdb() -> None:
    """One line and the end where lmdb is missing."""
    if not has_lmdb():
        raise click.ClickException(f"to keep data on disk takes lmdb; {_INSTALL_HINT}")


def open_state(path: Path, params: Params, *, in_background: bool = True) -> NodeState:
    """The data in a directory; StorageError where it can't be used, and one line where lmdb is
    missing."""
    require_lmdb()
    from kademlua.storage.node_state import NodeState

    return NodeState(path, params, in_background=in_background)


def default_data_dir(port: int) -> Path:
    """Where the node on a port keeps its data unless told otherwise, by the platform's
    convention."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        configured = os.environ.get("XDG_DATA_HOME", "")
        # By the convention, one that is not absolute does not count.
        base = (
            Path(configured) if Path(configured).is_absolute() else Path.home() / ".local" / "share"
        )
    return base / "kademlua" / str(port)


def data_dir_for_node(port: int, path: Path | None) -> Path | None:
    """Where the node to be run keeps its data; None where nothing is to be kept: by a node on
    any free port, unless it was told where, and where lmdb is missing."""
    if path is None and port == 0:
        return None
    if path is None and not has_lmdb():
        logger.warning("nothing is kept when this node ends, for want of lmdb; %s", _INSTALL_HINT)
        return None
    return path or default_data_dir(port)
