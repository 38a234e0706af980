"""An export is read back as it was written; one that is damaged anywhere is detected."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import SigningKey, sha1
from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.params import Params
from kademlua.core.values import records
from kademlua.storage import export_format
from kademlua.storage.export_format import (
    StoredValue,
    import_lines,
    parse_json_lines,
    to_json_lines,
)
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_store import LmdbStore

KEY = b"k" * 20
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
        import_lines(store, list(to_json_lines(values)), max_ttl=1e7)
    assert len(store) == 1_000
    with pytest.raises(StorageError, match="the disk is full; nothing was imported"):
        import_lines(store, list(to_json_lines(values)), max_ttl=1e7)
    store.close()


def one_value(**changes: object) -> list[str]:
    """Return an export of one value, with some fields changed and a correct checksum."""
    first, line, _ = exported(VALUES[:1])
    changed = json.dumps(json.loads(line) | changes)
    content = f"{first}\n{changed}\n"
    last = {"values": 1, "sha256": hashlib.sha256(content.encode()).hexdigest()}
    return [*content.splitlines(), json.dumps(last)]


def owner_json(**changes: object) -> dict[str, object]:
    return {"id": OWNER.id.hex(), "address": OWNER.addr, "port": OWNER.port} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"ends": float("nan")},
        {"ends": float("inf")},
        {"ends": True},
        {"ends": 10**400},
        {"ends": "1e9"},
        {"owner": owner_json(port=True)},
        {"owner": owner_json(port=0)},
        {"owner": owner_json(address=["192.0.2.1"])},
        {"owner": owner_json(id="41")},
        {"key": "6b"},
        {"seq": -1},
        {"value": base64.b64encode(b"d1:b0:1:a0:e").decode()},
        {"value": base64.b64encode(b"03:abc").decode()},
        {"value": base64.b64encode(bytes(200_000)).decode()},
    ],
)
def test_invalid_field_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(StorageError, match="line 2"):
        parsed(one_value(**changes))


def test_number_of_values_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_format, "MAX_VALUES", 3)
    assert len(parsed(exported(VALUES[:3]))) == 3
    with pytest.raises(StorageError, match="more than 3 values"):
        parsed(exported(VALUES))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore(tmp_path / "values", Params(max_entries=3), in_background=False)
    yield opened
    opened.close()


def test_import_checks_values_like_a_store(store: LmdbStore) -> None:
    signer = SigningKey(bytes(32))
    key = records.signed_key(signer.public_key, b"")

    def record(seq: int, signature: bytes) -> bytes:
        return records.SignedRecord(signer.public_key, b"", seq, None, signature, b"1:v").encoded

    signature = signer.sign(records.signed_bytes(b"", 1, None, b"1:v"))
    stored_values = [
        StoredValue(key, OWNER, record(2, bytes(64)), True, 60.0),
        StoredValue(sha1("other"), OWNER, record(1, signature), True, 60.0),
        StoredValue(key, OWNER, record(1, signature), True, 60.0),
        StoredValue(key, OWNER, b"1:v", True, 60.0),
        StoredValue(bytes(20), OWNER, b"20000:" + bytes(20_000), True, 60.0),
        *(StoredValue(bytes([number]) * 20, OWNER, b"1:v", True, 60.0) for number in range(5)),
    ]
    result = import_lines(store, list(to_json_lines(stored_values)), max_ttl=1e6)
    assert result.imported == 3
    assert result.refused == {
        "forged record": 1,
        "record of another key": 1,
        "the key has a record": 1,
        "value over 15000 bytes": 1,
        "no room for more values": 3,
    }


def test_import_limits_the_lives_of_values(store: LmdbStore) -> None:
    values = [StoredValue(KEY, OWNER, b"1:v", True, 1e9)]
    import_lines(store, list(to_json_lines(values)), max_ttl=100, clock=lambda: 0.0)
    [(_, entry)] = store.entries(KEY)
    assert entry.expires_at == pytest.approx(100, abs=1)
