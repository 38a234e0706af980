"""NodeState: all that a node keeps from one start to the next, in one directory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from zlib import crc32

import gevent
from gevent import Greenlet

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError, WireError
from kademlua.core.ids import is_id
from kademlua.core.params import Params
from kademlua.node.node import Node
from kademlua.storage.data_directory import DataDirectory
from kademlua.storage.group_commit import Ledger
from kademlua.storage.lmdb_environment import Environment
from kademlua.storage.lmdb_store import DiskStore
from kademlua.storage.publication_store import Publications
from kademlua.storage.row_format import VERSION

logger = logging.getLogger(__name__)

SAVE_EVERY = 180.0
"""Seconds between two times of saving the contacts."""
_CONTACTS = 64
"""Contacts that are saved, at most."""
_ID = b"id"


class NodeState:
    """Id, contacts and publications in ``node.lmdb``; the values, apart, in ``values.lmdb``."""

    def __init__(
        self,
        path: Path,
        params: Params,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        in_background: bool = True,
        is_wary: bool = True,
    ) -> None:
        """Open or make the directory; StorageError where that can't be, or another process has
        it. What is damaged in it is moved aside, with a warning in the log; where not
        ``is_wary``, only what shows at once."""
        self.path = path
        """The directory."""
        with ExitStack() as undo:
            directory = DataDirectory(path, is_wary=is_wary)
            undo.callback(directory.close)
            self.store = directory.open(
                "values.lmdb",
                lambda at: DiskStore(
                    at, params, clock=clock, wall=wall, in_background=in_background
                ),
                "the values of others",
            )
            """The values that the node keeps for the network."""
            undo.callback(self.store.close)
            self._ledger = Ledger(
                directory.open(
                    "node.lmdb",
                    lambda at: Environment(
                        at, "node", VERSION, ("meta", "contacts", "publications")
                    ),
                    "its contacts and publications",
                ),
                in_background=in_background,
            )
            undo.callback(self._ledger.close)
            self.publications = Publications(self._ledger)
            """What the node publishes."""
            self._end = undo.pop_all()
        self._saver: Greenlet[..., None] | None = None

    @property
    def id(self) -> bytes | None:
        """The node's id; None before it has one. It stands in both files, so that none of them
        takes it along when it breaks."""
        for found in (self._ledger.get("meta", _ID), self.store.node_id):
            if found is not None and is_id(found):
                return found
        return None

    def keep_id(self, node_id: bytes) -> None:
        """Be this node from now on; StorageError where that can't be kept."""
        failures: list[str | None] = []
        if self._ledger.get("meta", _ID) != node_id:
            self._ledger.put("meta", _ID, node_id)
            self._ledger.kept(failures.append)
        if self.store.node_id != node_id:
            self.store.node_id = node_id
            self.store.kept(failures.append)
        self.flush()
        for reason in failures:
            if reason is not None:
                raise StorageError(f"can't keep the node's id: {reason}")

    # Contacts.

    @property
    def contacts(self) -> list[Contact]:
        """The contacts that were saved, the one heard from last first."""
        found = []
        for _, data in sorted(self._ledger.rows("contacts").items()):
            packed = data[4:]
            try:
                if data[:4] == _checksum(packed):
                    found.append(Contact.unpack(packed))
            except WireError:
                pass
        return found

    def save_contacts(self, contacts: Iterable[Contact]) -> None:
        """Keep these contacts, in place of those saved before; of many the first ones."""
        rows = {
            number.to_bytes(2, "big"): _checksum(contact.packed) + contact.packed
            for number, contact in zip(range(_CONTACTS), contacts, strict=False)
        }
        former = self._ledger.rows("contacts")
        for row in former.keys() | rows.keys():
            if former.get(row) != rows.get(row):
                self._ledger.put("contacts", row, rows.get(row))

    def save_contacts_of(self, node: Node) -> None:
        """Keep the contacts in a node's table; where it knows none, those of before stay."""
        table = node.table
        contacts = sorted(table, key=lambda each: -getattr(table.get(each.id), "heard", 0.0))
        if contacts:
            self.save_contacts(contacts)

    def attend(self, node: Node) -> None:
        """From now on until ``close``, save the node's contacts every now and then."""
        self._saver = gevent.spawn(self._save_now_and_then, node)

    def _save_now_and_then(self, node: Node) -> None:
        while True:
            gevent.sleep(SAVE_EVERY)
            self.save_contacts_of(node)

    # The end.

    def flush(self) -> None:
        """Block until everything so far is on disk or lost."""
        self._ledger.flush()
        self.store.flush()

    def close(self) -> None:
        """Put on disk what is not there yet, and let others have the directory. Idempotent."""
        if self._saver is not None:
            self._saver.kill()
            self._saver = None
        self._end.close()


def _checksum(packed: bytes) -> bytes:
    return crc32(packed).to_bytes(4, "big")
