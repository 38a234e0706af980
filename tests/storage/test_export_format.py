"""An export is read back as it was written; one that is damaged anywhere is detected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.params import Params
from kademlua.storage.export_format import (
    StoredValue,
    import_lines,
    parse_json_lines,
    to_json_lines,
)
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_store import LmdbStore

OWNER = Contact("192.0.2.1", 7, b"A" * 20)
VALUES = [
    StoredValue(bytes([number]) * 20, OWNER, b"3:abc", number % 2 == 0, 60.0) for number in range(5)
]


def exported(values: list[StoredValue]) -> list[str]:
    return list(to_json_lines(values, lambda: 1e9))


def parsed(lines: list[str]) -> list[StoredValue]:
    return list(parse_json_lines(lines, lambda: 1e9))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_export_is_read_back(count: int) -> None:
    lines = exported(VALUES[:count])
    assert parsed(lines) == VALUES[:count]
    assert parsed([line + "\n" for line in lines]) == VALUES[:count]
    assert json.loads(lines[-1])["values"] == count


def test_export_of_version_1_has_no_last_line() -> None:
    first, *values, _ = exported(VALUES)
    assert parsed([first.replace('"version": 2', '"version": 1'), *values]) == VALUES


@given(st.data())
def test_changed_character_is_detected(data: st.DataObject) -> None:
    text = "\n".join(exported(VALUES))
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[position]))
    changed = text[:position] + other + text[position + 1 :]
    try:
        found = parsed(changed.split("\n"))
    except StorageError:
        return
    assert found == VALUES  # for example, another blank between the fields of the last line


@given(st.integers(0, len("\n".join(exported(VALUES))) - 1))
def test_cut_export_is_detected(length: int) -> None:
    text = "\n".join(exported(VALUES))[:length]
    with pytest.raises(StorageError):
        parsed(text.splitlines(keepends=True))


def test_failed_import_says_how_much_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    high = 10**9
    params = Params(max_entries_per_address=high, max_entries=high, max_bytes_per_address=high)
    store = LmdbStore(tmp_path / "values", params, in_background=False)
    keys = [number.to_bytes(20, "big") for number in range(1_500)]
    values = [StoredValue(key, OWNER, b"1:a", True, 1e6) for key in keys]
    prepare = LmdbEnvironment.prepare
    commits = 0

    def prepare_once(self: LmdbEnvironment, write: object) -> object:
        nonlocal commits
        commits += 1
        if commits > 1:
            raise OSError("No space left on device")
        return prepare(self, write)  # type: ignore[arg-type]

    monkeypatch.setattr(LmdbEnvironment, "prepare", prepare_once)
    complaint = "can't be kept: the disk is full; 1,000 values were imported before"
    with pytest.raises(StorageError, match=complaint):
        import_lines(store, list(to_json_lines(values)))
    assert len(store) == 1_000
    with pytest.raises(StorageError, match="the disk is full; nothing was imported"):
        import_lines(store, list(to_json_lines(values)))
    store.close()
