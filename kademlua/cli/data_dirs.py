"""The data directories of nodes, and the optional lmdb package that reads them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from kademlua.cli.extras import install_hint, is_installed, require_package
from kademlua.control.unix_socket import SOCKET_NAME, ControlError, connect
from kademlua.core.params import Params
from kademlua.crypto.key_derivation import Purpose, derive_key

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


def default_data_dir(port: int, network_keys: Sequence[bytes] = ()) -> Path:
    """Return the platform's default data directory of the node on a port.

    A private network has a directory of its own, ``PORT-`` and a digest of its key. With several
    keys, it is an existing one, or that of the first key.

    Raises:
        click.ClickException: the user has no home directory.
    """
    base = _base_dir()
    paths = [base / f"{port}-{_network_name(key)}" for key in network_keys] or [base / str(port)]
    return next(filter(Path.is_dir, paths), paths[0])


def data_dir_patterns(network_keys: Sequence[bytes] = ()) -> list[str]:
    """Return patterns of the names of default data directories: those of some private networks,
    or all without keys."""
    return [f"[0-9]*-{_network_name(key)}" for key in network_keys] or ["[0-9]*"]


def find_data_dir(port: int) -> Path:
    """Return the default data directory of the node on a port, whichever its network: that of a
    running node, or else one that exists, that of the public network first.

    Raises:
        click.ClickException: the user has no home directory.
    """
    base = _base_dir()
    public = base / str(port)
    paths = [public, *sorted(base.glob(f"{port}-*"))]
    existing = next(filter(Path.is_dir, paths), public)
    return next((path for path in paths if _has_running_node(path)), existing)


def data_dir_for_node(
    port: int, path: Path | None, network_keys: Sequence[bytes] = ()
) -> Path | None:
    """Return the data directory of the node to run, or None to keep its data in memory.

    Without a ``path``, a node stays in memory if it uses any free port (0), lmdb is missing or the
    user has no home directory.

    Raises:
        click.ClickException: the directory cannot be created.
    """
    if path is not None:
        return path
    if port == 0:
        return None
    if not is_installed("lmdb"):
        logger.warning("this node saves no data because %s", install_hint("lmdb", "disk"))
        return None
    try:
        path = default_data_dir(port, network_keys)
    except click.ClickException as error:
        logger.warning("this node saves no data because %s", error.message)
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"can't create {path}: {error.strerror}; choose another directory with --data DIR, or"
            " save nothing with --memory"
        ) from None
    _link_other_keys(path, port, network_keys)
    return path


def _base_dir() -> Path:
    try:
        path = platformdirs.user_data_path("kademlua", appauthor=False)
    except RuntimeError:
        path = Path()
    if not path.is_absolute():  # neither HOME nor an entry in passwd, as in some containers
        raise click.ClickException("the user has no home directory; use --data")
    return path


def _network_name(network_key: bytes) -> str:
    return derive_key(network_key, Purpose.DIRECTORY_NAME, 4).hex()


def _link_other_keys(path: Path, port: int, network_keys: Sequence[bytes]) -> None:
    """Link the directories of further keys to this one, so that an exchange of keys keeps it."""
    for key in network_keys if len(network_keys) > 1 else ():
        link = path.parent / f"{port}-{_network_name(key)}"
        try:
            if link != path:
                path.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.name)
        except FileExistsError:
            pass
        except OSError as error:
            logger.warning("no link %s to %s: %s", link, path.name, error.strerror)


def _has_running_node(path: Path) -> bool:
    try:
        connect(path / SOCKET_NAME).close()
    except (OSError, ControlError):
        return False
    return True
