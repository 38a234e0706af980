import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kademlua import Node
from kademlua.swarm.logs import NodeLogHandler, has_no_node

logger = logging.getLogger("kademlua")


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[NodeLogHandler]:
    handler = NodeLogHandler(tmp_path)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def lines(path: Path) -> list[str]:
    return [line.partition(": ")[2] for line in path.read_text().splitlines()]


def test_record_is_written_to_log_of_its_node(handler: NodeLogHandler, tmp_path: Path) -> None:
    with Node() as first:
        nodes = [Node(bootstrap=[first.contact.endpoint]) for _ in range(3)]
        for number, node in enumerate(nodes):
            handler.create_log(node.id, str(number))
            with node:
                pass
    logger.info("a record without a node")
    for number in range(3):
        (line,) = lines(tmp_path / f"{number}.log")
        assert line.startswith("joined, ")
    assert len(list(tmp_path.iterdir())) == 3


def test_new_log_is_empty(handler: NodeLogHandler, tmp_path: Path) -> None:
    (tmp_path / "8003.log").write_text("of an earlier run\n")
    handler.create_log(b"i" * 20, "8003")
    assert (tmp_path / "8003.log").read_text() == ""


def test_unwritable_log_drops_its_records(handler: NodeLogHandler, tmp_path: Path) -> None:
    (tmp_path / "8003.log").mkdir()
    with pytest.raises(IsADirectoryError):
        handler.create_log(b"i" * 20, "8003")
    handler.create_log(b"j" * 20, "8004")
    (tmp_path / "8004.log").unlink()
    (tmp_path / "8004.log").mkdir()
    logger.info("this record is lost", extra={"node": b"j" * 20})


def test_records_without_node_pass_filter() -> None:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "text", (), None)
    assert has_no_node(record)
    record.node = b"i" * 20
    assert not has_no_node(record)
