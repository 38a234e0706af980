"""Line readers for pipes and files, and the path of the history."""

import io
import os
import pwd

import gevent

from kademlua.shell.line_reader import PipeReader, history_path


def test_pipe_lines_are_returned_unchanged():
    read_fd, write_fd = os.pipe()
    lines = PipeReader(read_fd, None)
    got = []

    def read_all():
        while (line := lines.read("> ")) is not None:
            got.append(line)

    reader = gevent.spawn(read_all)
    long = "x" * 30_000  # fits into the buffer of a pipe
    for piece, so_far in [
        (b"one\ntw", ["one"]),
        (b"o\n\n", ["one", "two", ""]),
        (b"\xff\n" + long.encode(), ["one", "two", "", "\ufffd"]),
    ]:
        os.write(write_fd, piece)
        while len(got) < len(so_far):
            gevent.sleep(0.001)
        assert got == so_far
    os.close(write_fd)
    reader.get(timeout=30)
    os.close(read_fd)
    assert got[-1] == long
    assert not lines.interactive


def test_pipe_reader_writes_prompts_to_its_output():
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"one\n")
    os.close(write_fd)
    prompts = io.StringIO()
    lines = PipeReader(read_fd, prompts)
    assert [lines.read("> "), lines.read("> ")] == ["one", None]
    os.close(read_fd)
    assert prompts.getvalue() == "> > "
    assert lines.interactive


def test_pipe_reader_reads_files(tmp_path):
    path = tmp_path / "commands"
    path.write_text("one\ntwo")
    with path.open("rb") as file:
        lines = PipeReader(file.fileno(), None)
        assert [lines.read(""), lines.read(""), lines.read("")] == ["one", "two", None]


def test_history_path_follows_xdg(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert str(history_path()) == "/state/kademlua/history"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(history_path()) == "/home/me/.local/state/kademlua/history"


def test_user_without_home_directory_has_no_history(monkeypatch):
    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert history_path() is None
