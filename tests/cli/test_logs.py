"""The log of a node: its formats, its file, and what ends up there."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from pathlib import Path

import pytest

from kademlua.cli.logs import LogFileHandler
from tests.cli.conftest import Launcher


def test_log_may_be_json(launch: Launcher, tmp_path: Path) -> None:
    process, _ = launch.node("--log-file", "node.log", "--log-format", "json")
    node_id = process.out.text.split()[2]
    process.popen.terminate()
    assert process.wait() == 0
    lines = [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert lines[-1]["message"] == "ended"
    assert lines[-1]["level"] == "info"
    assert {line["node"] for line in lines if "node" in line} == {node_id}


def test_sighup_reopens_log_file(launch: Launcher, tmp_path: Path) -> None:
    process, _ = launch.node("--log-file", "node.log")
    log = tmp_path / "node.log"
    log.rename(tmp_path / "former.log")
    process.popen.send_signal(signal.SIGHUP)
    # No record is lost, and the node continues.
    process.popen.terminate()
    assert process.wait() == 0
    assert "ended" in log.read_text()
    assert "ended" not in (tmp_path / "former.log").read_text()


def test_sighup_ends_a_node_without_a_log_file(launch: Launcher) -> None:
    process, _ = launch.node()
    process.popen.send_signal(signal.SIGHUP)
    assert process.wait() == 0


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("kademlua", logging.INFO, "", 0, message, (), None)


def test_record_goes_to_stderr_while_the_file_cannot_be_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs" / "node.log"
    path.parent.mkdir()
    handler = LogFileHandler(path, encoding="utf-8")
    handler.emit(record("one"))
    shutil.rmtree(path.parent)
    handler.emit(record("two"))
    handler.emit(record("three"))
    handler.emit(record("four"))
    path.parent.mkdir()
    handler.emit(record("five"))
    handler.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["two", "three", "four"]
    assert all("No such file or directory" in line for line in lines)
    assert path.read_text() == "five\n"


def test_node_outlives_the_directory_of_its_log(launch: Launcher, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    process, _ = launch.node("--log-file", "logs/node.log", "--bootstrap", "127.0.0.1:9")
    shutil.rmtree(tmp_path / "logs")
    process.err.expect("no node answers at the bootstrap addresses")
    process.popen.terminate()
    assert process.wait() == 0
    assert "Traceback" not in process.err.read_rest()


FAILURES = """
import sys, threading, gevent
from kademlua.cli.logs import configure_logging, log_unhandled_errors

class Finalized:
    def __del__(self):
        fail("a finalizer")

def fail(place):
    raise RuntimeError(f"a defect in {place}")

configure_logging("info", None, "json")
log_unhandled_errors()
hub = gevent.get_hub()
gevent.spawn(fail, "a greenlet").join()
hub.loop.run_callback(fail, "a callback")
hub.threadpool.spawn(fail, "a pool thread")
thread = threading.Thread(target=fail, args=["a thread"])
thread.start()
thread.join()
Finalized()
gevent.sleep(0.1)
hub.threadpool.join()
gevent.sleep(0)
"""


def test_unhandled_errors_are_logged(launch: Launcher) -> None:
    done = launch.python(FAILURES)
    lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert {line["error"].splitlines()[-1] for line in lines} == {
        f"RuntimeError: a defect in {place}"
        for place in ("a greenlet", "a callback", "a pool thread", "a thread", "a finalizer")
    }
    assert all(line["level"] == "error" for line in lines)
