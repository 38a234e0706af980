"""One flipped bit in any row is detected, costs at most that row, and the node goes on.

``test_row_format`` flips each bit of each kind of row, without a file.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import lmdb
import pytest

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.results import Publication
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import Clocks
from kademlua.storage.node_state import NodeState

NODE_ID = b"i" * 20
KEYS = [bytes([number]) * 20 for number in range(3)]
OWNERS = [Contact("192.0.2.1", 7, b"A" * 20), Contact("2001:db8::1", 8, b"B" * 20)]
CONTACTS = [Contact(f"192.0.2.{number}", number, bytes([number]) * 20) for number in (1, 2)]
PUBLICATIONS = [Publication(key, b"1:p", 60) for key in KEYS[:2]]
PARAMS = Params(max_entries_per_address=4, max_bytes_per_address=50_000)

Values = set[tuple[bytes, Contact, bytes]]


def opened(path: Path) -> NodeState:
    return NodeState(
        path,
        PARAMS,
        clocks=Clocks(clock=lambda: 0.0, wall_clock=lambda: 1e9),
        in_background=False,
        verify_unclean=False,
    )


def put(state: NodeState, key: bytes, owner: Contact, value: bytes = b"1:v") -> None:
    state.store.put(key, owner, StoreEntry(value, 100.0, received_at=0.0))


def values(state: NodeState) -> Values:
    return {
        (key, owner, entry.encoded)
        for key in list(state.store.keys())
        for owner, entry in state.store.entries(key)
    }


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with some of each kind of row."""
    path = tmp_path_factory.mktemp("rows") / "master"
    state = opened(path)
    for key in KEYS:
        for owner in OWNERS:
            put(state, key, owner)
    state.save_contacts(CONTACTS)
    for publication in PUBLICATIONS:
        state.publications.put(publication)
    state.persist_id(NODE_ID)
    state.close()
    return path


class Row(NamedTuple):
    """A row of a database."""

    file: str
    database: str | None
    key: bytes
    data: bytes


def rows_of(path: Path, file: str, database: str | None) -> list[Row]:
    with (
        lmdb.open(str(path / file), subdir=False, lock=False, max_dbs=8) as env,
        env.begin(db=env.open_db(database.encode() if database else None)) as txn,
    ):
        return [Row(file, database, key, data) for key, data in txn.cursor()]


def replace(path: Path, row: Row, key: bytes, data: bytes) -> None:
    with (
        lmdb.open(str(path / row.file), subdir=False, lock=False, max_dbs=8) as env,
        env.begin(
            write=True, db=env.open_db(row.database.encode() if row.database else None)
        ) as txn,
    ):
        txn.delete(row.key, row.data)  # of a row of an index, not all of its key
        txn.put(key, data)


def flips(content: bytes) -> Iterator[bytes]:
    """Yield the content with one bit flipped in each of its bytes in turn."""
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        yield bytes(flipped)


Damage = Callable[[Row], Iterator[tuple[bytes, bytes]]]


def each_data(row: Row) -> Iterator[tuple[bytes, bytes]]:
    return ((row.key, data) for data in flips(row.data))


def each_key(row: Row) -> Iterator[tuple[bytes, bytes]]:
    """Move the row; over another one, two rows would be lost."""
    return ((key, row.data) for key in flips(row.key) if key != b"\0\1")


@pytest.fixture
def damaged(
    master: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[[Row, bytes, bytes], NodeState]:
    """Open a copy of the master in which one row is replaced."""
    path = tmp_path / "copy"

    def open_damaged(row: Row, key: bytes, data: bytes) -> NodeState:
        caplog.clear()
        caplog.set_level(logging.WARNING)
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(master, path)
        replace(path, row, key, data)
        return opened(path)

    return open_damaged


Open = Callable[[Row, bytes, bytes], NodeState]


def check_counts(state: NodeState, left: Values) -> None:
    """Check that totals and usages are those of the values that are left, and that stores work."""
    assert len(state.store) == len(left)
    assert state.store.stored_bytes == 3 * len(left)
    for owner in OWNERS:
        count = sum(1 for each in left if each[1] == owner)
        for number in range(4 - count):
            put(state, bytes([100 + number]) * 20, owner)
        with pytest.raises(Exception, match="no room for more values of this address"):
            put(state, b"z" * 20, owner)
    reasons: list[str | None] = []
    state.store.when_durable(reasons.append)
    assert reasons == [None]
    expired = 0
    for _ in range(3):
        expired += state.store.expire(100.0)
        values(state)
    assert expired == 8
    assert (len(state.store), state.store.stored_bytes, list(state.store.keys())) == (0, 0, [])


ALL: Values = {(key, owner, b"1:v") for key in KEYS for owner in OWNERS}


def check(state: NodeState, caplog: pytest.LogCaptureFixture, lost: Values = frozenset()) -> None:  # type: ignore[assignment]
    assert state.id == NODE_ID
    state.persist_id(NODE_ID)
    assert state.contacts == CONTACTS
    assert list(state.publications) == PUBLICATIONS
    left = values(state)
    assert left == ALL - lost
    check_counts(state, left)
    state.close()
    assert len(caplog.records) == 1, caplog.text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("damage", [each_data, each_key])
def test_value_is_dropped_and_counts_are_computed_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    row = rows_of(master, "values.lmdb", "values")[0]
    lost = {(row.key[:20], Contact.from_compact(row.key[20:]), b"1:v")}
    for key, data in damage(row):
        check(damaged(row, key, data), caplog, lost)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("damage", [each_data, each_key])
def test_usage_of_an_address_is_computed_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage, number: int
) -> None:
    row = rows_of(master, "values.lmdb", "addresses")[number]
    for key, data in damage(row):
        check(damaged(row, key, data), caplog)


@pytest.mark.parametrize("damage", [each_data, each_key])
def test_counts_are_computed_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage
) -> None:
    row = next(row for row in rows_of(master, "values.lmdb", "meta") if row.key == b"counts")
    for key, data in damage(row):
        check(damaged(row, key, data), caplog)


@pytest.mark.timeout(300)
def test_index_of_expiry_is_computed_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture
) -> None:
    row = rows_of(master, "values.lmdb", "ends")[0]
    for key in flips(row.key):
        check(damaged(row, key, b""), caplog)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("damage", [each_data, each_key])
def test_index_by_recency_is_computed_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage, number: int
) -> None:
    row = rows_of(master, "values.lmdb", "recent")[number]
    for key, data in damage(row):
        state = damaged(row, key, data)
        values(state)  # if the row is under another key now, reading that one finds the damage
        check(state, caplog)


@pytest.mark.parametrize("file", ["values.lmdb", "node.lmdb"])
@pytest.mark.parametrize("damage", [each_data, each_key])
def test_id_is_taken_from_the_other_file(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage, file: str
) -> None:
    row = next(row for row in rows_of(master, file, "meta") if row.key == b"id")
    for key, data in damage(row):
        check(damaged(row, key, data), caplog)


@pytest.mark.parametrize("file", ["values.lmdb", "node.lmdb"])
def test_format_is_written_again(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    row = next(row for row in rows_of(master, file, None) if row.key == b"format")
    for key, data in [*each_data(row), *each_key(row)]:
        check(damaged(row, key, data), caplog)


@pytest.mark.parametrize("database", ["contacts", "publications"])
@pytest.mark.parametrize("damage", [each_data, each_key])
def test_contact_or_publication_is_dropped(
    master: Path, damaged: Open, caplog: pytest.LogCaptureFixture, damage: Damage, database: str
) -> None:
    row = rows_of(master, "node.lmdb", database)[0]
    for key, data in damage(row):
        state = damaged(row, key, data)
        lost = database == "contacts"
        assert state.contacts == CONTACTS[int(lost) :]
        assert list(state.publications) == PUBLICATIONS[int(not lost) :]
        assert (state.id, values(state)) == (NODE_ID, ALL)
        state.close()
        assert len(caplog.records) == 1
        state = opened(state.path)
        assert (state.contacts, len(state.publications)) == (
            CONTACTS[int(lost) :],
            1 + int(lost),
        )
        state.close()
        assert len(caplog.records) == 1
