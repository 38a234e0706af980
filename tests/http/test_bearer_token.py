"""The token file."""

from __future__ import annotations

import os
import stat

import pytest

from kademlua.core.errors import KeyFileError
from kademlua.http.bearer_token import load_or_create_token, runtime_token_path


def test_token_file_is_created_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / "new" / "http-token"
    token = load_or_create_token(path)
    assert len(token) == 43
    assert path.read_text() == token + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_create_token(path) == token
    assert load_or_create_token(tmp_path / "other") != token


def test_existing_token_is_used(tmp_path):
    path = tmp_path / "token"
    path.write_text("sixteen-letters!")
    path.chmod(0o400)
    assert load_or_create_token(path) == "sixteen-letters!"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_file_accessible_to_others_is_refused(tmp_path, mode):
    path = tmp_path / "token"
    load_or_create_token(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="others can"):
        load_or_create_token(path)


@pytest.mark.parametrize("text", ["", "short", "with a space in it", "x" * 257, "grün" * 8])
def test_invalid_token_is_refused(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="no token of 16 to 256"):
        load_or_create_token(path)


def test_other_things_than_files_are_refused(tmp_path):
    with pytest.raises(KeyFileError):
        load_or_create_token(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="not a file"):
        load_or_create_token(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError):
        load_or_create_token(tmp_path / "file" / "token")


def test_node_without_data_has_its_token_in_the_runtime_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_token_path(8001) == tmp_path / "kademlua" / "http-token-8001"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert str(os.getuid()) in runtime_token_path(8001).parent.name


def test_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    directory = runtime_token_path(8001).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o777)
    with pytest.raises(KeyFileError, match="others may write"):
        runtime_token_path(8001)
    directory.rmdir()
    directory.symlink_to(tmp_path)
    with pytest.raises(KeyFileError, match="others may write"):
        runtime_token_path(8001)
