"""What a node or a peer sends reaches the terminal with escaped control characters."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kademlua.cli.logs import JsonFormatter
from kademlua.core.wire import replies
from kademlua.terminal.log_format import LineFormatter
from kademlua.terminal.text import VerbatimText, pretty_format

EVIL = "a\x1b]0;title\x07b\x9b31m\r\u202ec\u2028\x7fd"
"""A title, a colour, a carriage return, right-to-left text, a line separator and DEL."""
ESCAPED = r"a\x1b]0;title\x07b\x9b31m\r\u202ec\u2028\x7fd"
CONTACT = {"id": EVIL, "address": EVIL, "port": 1, "reason": EVIL, "rtt_seconds": 0.1}
ROW = {"key": EVIL, "owner": CONTACT, "value": EVIL, "remaining_seconds": 1, "ttl": 1}
REPORT = {"key": EVIL, "acknowledged": [CONTACT], "refused": [CONTACT], "timed_out": []}
TRACE = {
    "node": CONTACT,
    "seconds": 1,
    "queries": [
        {"id": EVIL, "address": EVIL, "port": 1, "responder": None, "hop": 1, "queried": 0}
        | {"ended": 1, "outcome": "answered", "reported": 1, "new": 1}
    ],
}
RESULTS: dict[str, Any] = {
    "find": {"key": EVIL, "answers": [{"contact": CONTACT, "values": [EVIL, {EVIL: [EVIL]}]}]},
    "lookup": {"key": EVIL, "seconds": 1, "contacts": [CONTACT], "trace": TRACE},
    "ping": CONTACT,
    "add": REPORT,
    "publish": REPORT,
    "remove": REPORT,
    "unpublish": {"key": EVIL, "was_published": True},
}


class FakeNode:
    """Answers each request at a control socket with text that controls terminals."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with suppress(ConnectionError), sock, sock.makefile("rb") as lines:
                for line in lines:
                    _answer(sock, json.loads(line))

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def _answer(sock: socket.socket, request: dict[str, Any]) -> None:
    for reply in _replies(request["do"]):
        message = {"id": request["id"]} | reply
        sock.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\n")


def _replies(name: str) -> list[dict[str, Any]]:
    if name in ("stored", "published"):
        return [{"part": {"rows": [ROW]}}, {"ok": {"count": 1}}]
    if name == "shell":
        parts = [{"names": [EVIL]}, {"prompt": EVIL}, {"out": EVIL + "\n"}, {"note": EVIL}]
        return [*({"part": each} for each in parts), {"ok": {}}]
    if name in RESULTS:
        return [{"ok": RESULTS[name]}]
    return [{"error": EVIL}]


@pytest.fixture
def fake_node(tmp_path: Path) -> Iterator[FakeNode]:
    node = FakeNode(tmp_path / "socket")
    yield node
    node.close()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ("find", "key"),
        ("lookup", "key"),
        ("lookup", "key", "--trace"),
        ("ping", "127.0.0.1:1"),
        ("add", "key", "value"),
        ("publish", "key", "value"),
        ("unpublish", "key"),
        ("remove", "key"),
        ("stored",),
        ("published",),
        ("top", "--count", "1"),
        ("shell",),
    ],
    ids=" ".join,
)
def test_commands_escape_what_a_node_sends(
    launch: Any, fake_node: FakeNode, command: tuple[str, ...], *, as_json: bool
) -> None:
    if as_json and command in (("shell",), ("lookup", "key", "--trace")):
        pytest.skip("has no other form")
    options = ["--json"] if as_json else []
    done = launch.run(*command, "--control", str(fake_node.path), *options, stdin=b"")
    output = (done.stdout + done.stderr).decode()
    assert "Traceback" not in output
    assert [each for each in output if not each.isprintable() and each != "\n"] == []
    if not as_json and command[0] not in ("add", "publish", "unpublish", "remove"):
        assert r"\x1b]0;title\x07" in output


def test_refusal_reason_of_a_peer_is_escaped() -> None:
    refusal = replies.decode_store_reply([0, EVIL.encode()])
    assert refusal is not None
    assert refusal.reason == ESCAPED


def _record(error: Exception | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("kademlua", logging.INFO, "", 0, "%s\nnext", (EVIL,), info)


@pytest.mark.parametrize(
    "format_record", [LineFormatter("%(message)s").format, JsonFormatter().format]
)
def test_log_lines_are_escaped(format_record: Callable[[logging.LogRecord], str]) -> None:
    text = format_record(_record())
    assert text.isprintable()
    assert r"\x1b" in text or r"\u001b" in text
    lines = format_record(_record(ValueError(EVIL))).splitlines()
    assert all(line.isprintable() for line in lines)


def test_the_shell_escapes_text_that_it_shows_verbatim() -> None:
    assert pretty_format(VerbatimText(f"{EVIL}\nnext")) == f"{ESCAPED}\nnext"
