"""A file is replaced when the new one is complete and on disk, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from kademlua.storage.durable_files import write_whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
@pytest.mark.parametrize("exists", [True, False])
def test_file_stays_as_it_was_after_an_exception(
    tmp_path: Path, error: type[BaseException], *, exists: bool
) -> None:
    path = tmp_path / "file"
    if exists:
        path.write_text("former")

    def write_half() -> None:
        with write_whole(path) as file:
            file.write("half")
            file.flush()
            raise error

    with pytest.raises(error):
        write_half()
    assert [each.name for each in tmp_path.iterdir()] == ["file"] * exists
    assert not exists or path.read_text() == "former"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_file_stays_as_it_was_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    path.write_text("former")
    monkeypatch.setattr(*(os, "fsync") if failing == "fsync" else (Path, "replace"), fail)
    with pytest.raises(OSError, match="No space left") as caught, write_whole(path) as file:
        file.write("half")
    assert caught.value.filename == str(path)
    assert path.read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 1


def test_former_file_is_there_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("former")
    with write_whole(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "former"
    assert path.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


def test_mode_and_symbolic_link_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("former")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    with write_whole(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    with write_whole(pipe) as file:
        file.write("through")
    reader.join()
    assert received == ["through"]
    assert pipe.is_fifo()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught, write_whole(path):
        pass
    assert caught.value.filename == str(path)
