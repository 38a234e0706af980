"""NodeState: the state of a node that survives a restart, in one directory."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import gevent
from gevent import Greenlet

from kademlua.core.contact import Contact, is_link_local
from kademlua.core.errors import StorageError
from kademlua.core.params import Params
from kademlua.crypto.private_files import require_private_data
from kademlua.crypto.signing import SigningKey
from kademlua.node.node import Node
from kademlua.runtime.clocks import Clocks
from kademlua.runtime.guard import Guard
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.storage.data_directory import DataDirectory
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_store import LmdbStore
from kademlua.storage.node_id import read_node_id, write_node_id
from kademlua.storage.node_identity import (
    create_identity,
    read_addresses,
    read_identity,
    write_addresses,
)
from kademlua.storage.publication_store import LmdbPublicationStore
from kademlua.storage.row_format import FORMAT_VERSION, pack_contact, unpack_contact
from kademlua.values.ownership import OwnAddresses, id_of

logger = SafeLogger(logging.getLogger(__name__))

AUTOSAVE_INTERVAL = 180.0
"""Seconds between two saves of the contacts."""
_NODE_DATABASES = ("meta", "contacts", "publications")
_MAX_SAVED_CONTACTS = 64
"""Contacts that are saved, at most."""


class NodeState:
    """Id, contacts and publications in ``node.lmdb``, and the values in ``values.lmdb``."""

    def __init__(
        self,
        path: Path,
        params: Params,
        *,
        clocks: Clocks | None = None,
        in_background: bool = True,
        verify_unclean: bool = True,
    ) -> None:
        """Open or create the directory.

        Damaged files are moved aside, with a warning in the log. Without ``verify_unclean``, only
        obvious damage is found.

        Raises:
            StorageError: the directory cannot be used or is in use.
        """
        self.path = path
        """The directory."""
        with ExitStack() as undo:
            directory = DataDirectory(path, verify_unclean=verify_unclean)
            undo.callback(directory.close)
            self.store = directory.open(
                "values.lmdb",
                lambda at: LmdbStore(at, params, clocks=clocks, in_background=in_background),
                "the stored values",
            )
            """The values that the node stores for the network."""
            undo.callback(self.store.close)
            self._write_buffer = WriteBuffer(
                directory.open("node.lmdb", _open_node_file, "contacts and publications"),
                in_background=in_background,
            )
            undo.callback(self._write_buffer.close)
            self.publications = LmdbPublicationStore(self._write_buffer)
            """The values that the node publishes."""
            self._cleanup = undo.pop_all()
        self._autosaver: Greenlet[..., None] | None = None

    @property
    def id(self) -> bytes | None:
        """The node's id; None before it has one. Both files hold it in case one is lost."""
        node_id, copy = read_node_id(self._write_buffer), self.store.node_id
        return node_id or copy

    def persist_id(self, node_id: bytes) -> None:
        """Store the node's id.

        Raises:
            StorageError: the id cannot be written.
        """
        failures: list[str | None] = []
        if write_node_id(self._write_buffer, node_id):
            self._write_buffer.when_durable(failures.append)
        if self.store.set_node_id(node_id):
            self.store.when_durable(failures.append)
        self.flush()
        for reason in failures:
            if reason is not None:
                raise StorageError(f"can't store the node's id: {reason}")

    @property
    def identity(self) -> SigningKey | None:
        """The node's signing key, from which its id is derived.

        A new directory gets one. None if the node has an id of another origin, or without the
        library for signatures.
        """
        identity = read_identity(self._write_buffer)
        if identity is None and self.id is None:
            identity = create_identity(self._write_buffer)
        if identity is not None and self.id not in (None, id_of(identity)):
            return None
        return identity

    # Addresses and contacts

    @property
    def addresses(self) -> OwnAddresses:
        """The node's addresses in its last run."""
        return read_addresses(self._write_buffer)

    @property
    def contacts(self) -> list[Contact]:
        """The saved contacts, most recently seen first."""
        found = []
        for row_key, data in sorted(self._write_buffer.rows("contacts")):
            contact = unpack_contact(row_key, data)
            if contact is None:
                self._write_buffer.drop_damaged("contacts", row_key)
            elif not is_link_local(contact.address_bytes):  # an earlier version accepted them
                found.append(contact)
        return found

    def save_contacts(self, contacts: Iterable[Contact]) -> None:
        """Save the first of these contacts, in place of those saved before."""
        rows = {
            (row_key := number.to_bytes(2, "big")): pack_contact(row_key, contact)
            for number, contact in zip(range(_MAX_SAVED_CONTACTS), contacts, strict=False)
        }
        previous = dict(self._write_buffer.rows("contacts"))
        for row_key in previous.keys() | rows.keys():
            if previous.get(row_key) != rows.get(row_key):
                self._write_buffer.put("contacts", row_key, rows.get(row_key))

    def save_table(self, node: Node) -> None:
        """Save a node's addresses and the contacts in its table; if it is empty, earlier ones
        stay."""
        write_addresses(self._write_buffer, node.services.prover.addresses)
        table = node.table
        contacts = sorted(table, key=lambda each: -getattr(table.get(each.id), "last_seen", 0.0))
        if contacts:
            self.save_contacts(contacts)

    def start_autosave(self, node: Node) -> None:
        """Save the node's contacts at regular intervals until ``close``."""
        self._autosaver = gevent.spawn(self._run_autosave, node)

    def _run_autosave(self, node: Node) -> None:
        guard = Guard(logger, lambda: node.now)
        while True:
            gevent.sleep(AUTOSAVE_INTERVAL)
            guard.run("saving contacts", partial(self.save_table, node))

    # Closing

    def flush(self) -> None:
        """Block until all changes so far are on disk or lost."""
        self._write_buffer.flush()
        self.store.flush()

    def close(self) -> None:
        """Write all changes to disk and unlock the directory. Idempotent."""
        if self._autosaver is not None:
            self._autosaver.kill()
            self._autosaver = None
        self._cleanup.close()


def _open_node_file(path: Path) -> LmdbEnvironment:
    """Open ``node.lmdb`` and read it to its end, since it is small.

    Raises:
        CorruptFile: the file is damaged or foreign.
        StorageError: it cannot be opened, or other users can read the node's key in it.
    """
    try:
        require_private_data(path)
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise StorageError(f"{path}: {error}") from None
    environment = LmdbEnvironment(path, "node", FORMAT_VERSION, _NODE_DATABASES)
    with environment.first_reads():
        for db_name in _NODE_DATABASES:
            for _ in environment.cursor(db_name):
                pass
    return environment
