"""Guard and SafeLogger: failures that must not end a background task."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from kademlua.core.errors import NodeClosed, TooManyCalls
from kademlua.runtime.guard import Guard
from kademlua.runtime.safe_logger import SafeLogger


class Broken(logging.Handler):
    """A handler whose file is gone."""

    def emit(self, record: logging.LogRecord) -> None:
        raise FileNotFoundError(2, "No such file or directory")


@pytest.fixture
def broken_logger() -> Iterator[SafeLogger]:
    logger = logging.getLogger("kademlua.broken")
    logger.addHandler(handler := Broken())
    yield SafeLogger(logger)
    logger.removeHandler(handler)


def fail(error: Exception) -> None:
    raise error


def test_result_of_a_step_is_returned() -> None:
    guard = Guard(SafeLogger(logging.getLogger("kademlua")), lambda: 0.0)
    assert guard.run("adding", lambda: 1 + 1) == 2


def test_failure_is_logged_every_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    guard = Guard(SafeLogger(logging.getLogger("kademlua")), lambda: now)
    for now in (0.0, 1.0, 599.0, 600.0, 601.0):  # noqa: B007  # the guard reads it
        assert guard.run("expiring", lambda: fail(RuntimeError())) is None
    guard.run("publishing", lambda: fail(RuntimeError()))
    assert [each.message for each in caplog.records] == [
        "expiring failed",
        "expiring failed",
        "publishing failed",
    ]


def test_postponed_step_has_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    guard = Guard(SafeLogger(logging.getLogger("kademlua")), lambda: 0.0)
    guard.run("probing", lambda: fail(TooManyCalls("8 calls are in flight")))
    [record] = caplog.records
    assert (record.message, record.exc_info) == ("probing postponed: 8 calls are in flight", None)


def test_end_of_the_node_ends_the_task() -> None:
    guard = Guard(SafeLogger(logging.getLogger("kademlua")), lambda: 0.0)
    with pytest.raises(NodeClosed):
        guard.run("probing", lambda: fail(NodeClosed("the node is closed")))


def test_logging_never_raises(broken_logger: SafeLogger) -> None:
    with pytest.raises(FileNotFoundError):
        broken_logger.logger.warning("lost")
    broken_logger.warning("lost")
    guard = Guard(broken_logger, lambda: 0.0)
    assert guard.run("expiring", lambda: fail(RuntimeError())) is None


def test_record_names_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    SafeLogger(logging.getLogger("kademlua"), {"node": b"id"}).warning("hello")
    [record] = caplog.records
    assert record.funcName == "test_record_names_the_caller"
    assert record.__dict__["node"] == b"id"
