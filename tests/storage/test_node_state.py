"""NodeState: the id, contacts and publications in a node's directory."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import lmdb
import pytest

from kademlua import Params
from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.results import Publication
from kademlua.core.values.store import StoreEntry
from kademlua.storage import integrity_check
from kademlua.storage import node_state as state
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.node_state import NodeState
from tests.support.world import World

KEY, OTHER = b"k" * 20, b"o" * 20


def opened(path: Path) -> NodeState:
    return NodeState(path, Params(), in_background=False)


def test_node_state_survives_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path / "a" / "b")
    assert first.id is None
    assert first.contacts == []
    first.persist_id(b"i" * 20)
    contacts = [Contact(f"192.0.2.{n}", n, bytes([n]) * 20) for n in range(1, 100)]
    first.save_contacts(contacts)
    first.save_contacts(contacts[50:])
    first.publications.put(Publication(KEY, b"1:a", 3600))
    first.publications.put(Publication(OTHER, b"1:b", 7))
    first.publications.put(Publication(KEY, b"1:c", 60))
    assert first.publications.swept_at() == 0
    first.publications.save_swept_at(1_700_000_000.5)
    first.close()
    first.close()
    again = opened(tmp_path / "a" / "b")
    assert again.id == b"i" * 20
    assert again.contacts == contacts[50:]
    assert list(again.publications) == [
        Publication(KEY, b"1:c", 60),
        Publication(OTHER, b"1:b", 7),
    ]
    assert again.publications.get(KEY) == Publication(KEY, b"1:c", 60)
    assert again.publications.swept_at() == 1_700_000_000.5
    assert again.publications.remove(KEY)
    assert not again.publications.remove(KEY)
    assert again.publications.get(KEY) is None
    reasons: list[Any] = []
    again.publications.when_durable(reasons.append)
    assert reasons == [None]
    assert len(again.publications) == 1
    again.close()


def test_directory_of_format_1_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Format 1 had no checksum in some rows, and none of the key in others."""
    first = opened(tmp_path)
    first.persist_id(KEY)
    contacts = [Contact(f"192.0.2.{n}", n, bytes([n]) * 20) for n in range(1, 4)]
    first.save_contacts(contacts)
    first.publications.put(Publication(KEY, b"1:a", 3600))
    first.store.put(KEY, contacts[0], StoreEntry(b"1:b", time.monotonic() + 60))
    first.close()
    for file, databases in (("values", ["meta", "addresses"]), ("node", ["meta", "contacts"])):
        with lmdb.open(str(tmp_path / f"{file}.lmdb"), subdir=False, max_dbs=8) as env:
            with env.begin(write=True) as txn:
                txn.put(b"format", b"kademlua %b 1" % file.encode())
            for name in databases:
                database = env.open_db(name.encode())
                with env.begin(write=True, db=database) as txn:
                    for row_key, data in list(txn.cursor()):
                        checksum = crc32(data[4:]).to_bytes(4, "big") if name == "contacts" else b""
                        txn.put(row_key, checksum + data[4:])
    for _ in range(2):
        again = opened(tmp_path)
        assert again.id == KEY
        again.persist_id(KEY)
        assert again.contacts == contacts
        assert list(again.publications) == [Publication(KEY, b"1:a", 3600)]
        assert again.store.get(KEY, 1, time.monotonic()) == [b"1:b"]
        assert (len(again.store), again.store.stored_bytes) == (1, 3)
        again.close()
    assert caplog.records == []


def test_saved_link_local_contacts_are_skipped(tmp_path: Path) -> None:
    """An earlier version accepted them."""
    usable = Contact("2001:db8::1", 1, b"a" * 20)
    packed = b"b" * 20 + bytes.fromhex("fe80000000000000000000000000000000ff")
    node_state = NodeState(tmp_path, Params())
    node_state.save_contacts([Contact.from_compact(packed), usable])
    assert node_state.contacts == [usable]
    node_state.close()


def test_saved_contacts_are_limited(tmp_path: Path) -> None:
    contacts = [Contact(f"192.0.2.{n}", n, bytes([n]) * 20) for n in range(1, 100)]
    node_state = opened(tmp_path)
    node_state.save_contacts(contacts)
    assert node_state.contacts == contacts[:64]
    node_state.close()


def test_directory_is_locked_by_one_process(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(StorageError, match="is in use by process"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_contacts_are_saved_at_intervals(world: World, tmp_path: Path) -> None:
    import gevent

    node_state = opened(tmp_path)
    node, other = world.network(2)
    node_state.start_autosave(node)
    gevent.sleep(state.AUTOSAVE_INTERVAL + 1)
    assert node_state.contacts == [other.contact]
    other.close()
    gevent.sleep(1_000)  # an empty table does not replace the saved contacts
    assert len(node.table) == 0
    assert node_state.contacts == [other.contact]
    node_state.close()


def test_contacts_are_saved_after_a_failure(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gevent

    node_state = opened(tmp_path)
    node, other = world.network(2)
    monkeypatch.setattr(NodeState, "save_contacts", lambda *_: 1 // 0)
    node_state.start_autosave(node)
    gevent.sleep(state.AUTOSAVE_INTERVAL + 1)
    monkeypatch.undo()
    gevent.sleep(state.AUTOSAVE_INTERVAL)
    assert node_state.contacts == [other.contact]
    node_state.close()


def test_saved_contacts_serve_as_bootstrap_addresses(world: World) -> None:
    network = world.network(5)
    dead = [("10.255.0.1", port) for port in range(1, 21)]
    node = world.node(cached_endpoints=[*dead, network[3].contact.endpoint])
    assert node.wait_joined()
    assert len(node.table) == 5
    assert node.stats()["timeouts"] <= 20


def test_node_is_not_joined_if_no_saved_contact_answers(world: World) -> None:
    node = world.node(cached_endpoints=[("10.255.0.1", 9)])
    assert node.wait_joined()
    assert len(node.add(KEY, b"a").acknowledged) == 1


def test_clean_shutdown_skips_the_integrity_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def check(path: Path) -> str | None:
        checked.append(path.name)
        return None

    monkeypatch.setattr(integrity_check, "find_corruption", check)
    opened(tmp_path).close()
    opened(tmp_path).close()
    assert checked == []
    with (tmp_path / "values.lmdb").open("ab") as file:
        file.write(b"x")
    opened(tmp_path).close()
    assert checked == ["values.lmdb"]
    (tmp_path / "left").write_text("[]")
    opened(tmp_path).close()
    assert checked == ["values.lmdb", "values.lmdb", "node.lmdb"]


def test_persist_id_reports_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node_state = opened(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LmdbEnvironment, "prepare", fail)
    with pytest.raises(StorageError, match="id: the disk is full"):
        node_state.persist_id(KEY)
    monkeypatch.undo()
    node_state.close()


def test_files_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    opened(tmp_path / "data").close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    for file in (tmp_path / "data").glob("*.lmdb"):
        assert file.stat().st_mode & 0o177 == 0


@pytest.mark.parametrize("mode", [0o644, 0o606, 0o602])
def test_file_of_the_key_that_others_can_access_is_refused(tmp_path: Path, mode: int) -> None:
    opened(tmp_path).close()
    path = tmp_path / "node.lmdb"
    path.chmod(mode)
    what = "read" if mode & 0o004 else "write"
    with pytest.raises(StorageError) as caught:
        opened(tmp_path)
    assert str(caught.value) == f"{path}: others can {what} it (mode {mode:04o}): chmod 600 {path}"
    path.chmod(0o660)  # as in a volume of Kubernetes with fsGroup
    opened(tmp_path).close()
