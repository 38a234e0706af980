"""The data directory: damaged files, and a directory that is read-only or vanishes."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.params import Params
from kademlua.core.results import Publication
from kademlua.core.values.store import StoreEntry
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.node_state import NodeState

KEY, OTHER, NODE_ID = b"k" * 20, b"o" * 20, b"i" * 20
OWNER = Contact("192.0.2.1", 7, b"A" * 20)


def opened(path: Path) -> NodeState:
    return NodeState(path, Params(), in_background=False)


def put(state: NodeState, key: bytes) -> str | None:
    """Store a value; return None, or why it is not durable."""
    now = time.monotonic()
    state.store.put(key, OWNER, StoreEntry(b"1:v", now + 60, received_at=now))
    reasons: list[str | None] = []
    state.store.when_durable(reasons.append)
    return reasons[0]


def get(state: NodeState, key: bytes) -> list[bytes]:
    return state.store.get(key, 1, time.monotonic())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory with an id, a value and a publication."""
    path = tmp_path / "data"
    state = opened(path)
    state.persist_id(NODE_ID)
    assert put(state, KEY) is None
    state.publications.put(Publication(KEY, b"1:p", 60))
    state.close()
    return path


@pytest.mark.parametrize("name", ["values.lmdb", "node.lmdb"])
@pytest.mark.parametrize("content", [b"", b"x", b"# notes\n" * 4000, bytes(4096), bytes(99_999)])
def test_file_with_wrong_content_is_moved_and_replaced(
    data: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    (data / name).write_bytes(content)
    state = opened(data)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{name} is damaged" in caplog.text
    if not content:
        assert "(it is empty)" in caplog.text
    assert (data / f"{name}.damaged-1").read_bytes() == content
    assert state.id == NODE_ID
    assert get(state, KEY) == ([b"1:v"] if name == "node.lmdb" else [])
    assert len(state.publications) == (1 if name == "values.lmdb" else 0)
    assert put(state, OTHER) is None
    state.persist_id(NODE_ID)
    state.close()
    state = opened(data)
    assert (state.id, get(state, OTHER)) == (NODE_ID, [b"1:v"])
    state.close()
    assert len(caplog.records) == 1


def test_file_whose_pages_are_damaged_is_moved_although_it_was_closed_cleanly(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = data / "node.lmdb"
    status = path.stat()
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 + 10] ^= 0x02  # that it is a leaf
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    state = opened(data)
    assert (data / "node.lmdb.damaged-1").exists()
    assert (state.id, get(state, KEY), len(state.publications)) == (NODE_ID, [b"1:v"], 0)
    state.close()
    assert len(caplog.records) == 1


def test_directory_in_place_of_a_file_is_reported_and_kept(data: Path) -> None:
    (data / "values.lmdb").unlink()
    (data / "values.lmdb").mkdir()
    with pytest.raises(StorageError, match=r"can't open .*values.lmdb: Is a directory"):
        opened(data)
    assert (data / "values.lmdb").is_dir()


@pytest.mark.parametrize(
    ("ends_with", "is_damaged"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", False),  # as the system does for lack of memory
        ("sys.exit(1)", False),
        ("raise lmdb.MemoryError", False),
        ("raise lmdb.Error('Too many open files')", False),
        ("raise lmdb.CorruptedError", True),
        ("os.kill(os.getpid(), signal.SIGBUS)", True),
    ],
)
def test_file_counts_as_damaged_only_if_the_check_says_so(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ends_with: str,
    *,
    is_damaged: bool,
) -> None:
    (data / "left").unlink()
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import lmdb, os, signal, sys\n"
        f"def end(*args, **options): {ends_with}\n"
        "lmdb.open = end\n"
        "exec(sys.argv[3])\n"
    )
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    state = opened(data)
    assert get(state, KEY) == ([] if is_damaged else [b"1:v"])
    assert (data / "values.lmdb.damaged-1").exists() == is_damaged
    state.close()


def test_lack_of_memory_at_the_start_moves_no_file(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise lmdb.MemoryError("mdb_txn_begin: Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(LmdbEnvironment, "refresh_snapshot", fail)
        with pytest.raises(StorageError, match=r"can't open .*: Cannot allocate memory"):
            opened(data)
    assert not list(data.glob("*.damaged-*"))
    state = opened(data)
    assert (state.id, get(state, KEY)) == (NODE_ID, [b"1:v"])
    state.close()


@pytest.mark.parametrize("version", ["2.2.0", "2.2.1"])
def test_lmdb_that_does_not_work_is_refused_before_files_are_touched(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(lmdb, "__version__", version)
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    for path in (data, tmp_path / "new"):
        with pytest.raises(StorageError, match=rf"lmdb {version} does not work; run: .* install"):
            opened(path)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_stores_are_refused_while_the_directory_is_gone(data: Path, tmp_path: Path) -> None:
    state = opened(data)
    data.rename(tmp_path / "elsewhere")
    assert put(state, OTHER) == "the data file is gone"
    assert (get(state, KEY), get(state, OTHER)) == ([b"1:v"], [])
    with pytest.raises(StorageError, match="the data file is gone"):
        state.persist_id(b"j" * 20)
    (tmp_path / "elsewhere").rename(data)
    assert put(state, OTHER) is None
    assert get(state, OTHER) == [b"1:v"]
    state.close()


def test_stores_are_refused_after_another_process_made_a_new_directory(data: Path) -> None:
    state = opened(data)
    shutil.rmtree(data)
    other = opened(data)
    assert put(other, KEY) is None
    assert put(state, OTHER) == "the data file is gone"
    state.close()
    assert not (data / "left").exists()
    assert (get(other, KEY), get(other, OTHER)) == ([b"1:v"], [])
    other.close()


def test_new_files_are_in_their_directory_after_a_power_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    opened(tmp_path / "a" / "data").close()
    assert synced[:2] == [tmp_path / "a", tmp_path]
    assert synced[2:] == [tmp_path / "a" / "data"] * 2
    synced.clear()
    opened(tmp_path / "a" / "data").close()
    assert synced == [tmp_path / "a" / "data"]  # the mark of the clean end was deleted


@pytest.fixture
def read_only(data: Path) -> Iterator[Path]:
    """Mount the directory so that nothing can be written."""
    options = (["--bind", str(data), str(data)], ["-o", "remount,ro,bind", str(data)])
    mounted = 0
    try:
        for each in options:
            done = subprocess.run(["mount", *each], capture_output=True, check=False)
            if done.returncode:
                pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
            mounted += 1
        yield data
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    finally:
        if mounted:
            subprocess.run(["umount", str(data)], check=True)


def test_read_only_directory_is_reported(read_only: Path) -> None:
    with pytest.raises(StorageError, match=rf"can't use {read_only}: Read-only file system"):
        opened(read_only)
