import logging
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from kademlua.swarm.logs import NodeLogs, OfNoNode, owner

logger = logging.getLogger("tests.swarm.logs")


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[NodeLogs]:
    handler = NodeLogs(tmp_path)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def lines(path: Path) -> list[str]:
    return [line.partition(": ")[2] for line in path.read_text().splitlines()]


def test_a_record_goes_to_the_node_whose_greenlet_made_it(
    handler: NodeLogs, tmp_path: Path
) -> None:
    def grandchild(name: str) -> None:
        gevent.sleep(0)
        logger.info("grandchild of %s", name)

    def child(name: str) -> None:
        gevent.sleep(0)
        logger.info("child of %s", name)
        gevent.spawn(grandchild, name).join()

    def start(name: str) -> None:
        with owner(name):
            logger.info("start of %s", name)
            gevent.spawn(child, name)

    names = ["8003", "8004", "8005"]
    for name in names:
        handler.begin(name)
        start(name)
    logger.info("nobody's")
    gevent.spawn(logger.info, "nobody's, either").join()
    gevent.sleep(0.01)
    for name in names:
        expected = [f"start of {name}", f"child of {name}", f"grandchild of {name}"]
        assert lines(tmp_path / f"{name}.log") == expected
    assert len(list(tmp_path.iterdir())) == 3


def test_a_log_begins_empty(handler: NodeLogs, tmp_path: Path) -> None:
    (tmp_path / "8003.log").write_text("of yesterday\n")
    handler.begin("8003")
    assert (tmp_path / "8003.log").read_text() == ""


def test_a_log_that_cannot_be_written_is_told_of_once(handler: NodeLogs, tmp_path: Path) -> None:
    (tmp_path / "8003.log").mkdir()
    with pytest.raises(IsADirectoryError):
        handler.begin("8003")
    handler.begin("8004")
    (tmp_path / "8004.log").unlink()
    (tmp_path / "8004.log").mkdir()
    with owner("8004"):
        logger.info("is lost, and nothing else")


def test_the_rest_is_of_no_node() -> None:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "text", (), None)
    with owner("8003"):
        assert not OfNoNode().filter(record)
    assert OfNoNode().filter(record)
