"""On a full disk, a node refuses stores, keeps running and loses no acknowledged value."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.flood import Flood
from tests.storage.processes import NodeProcess

FULL = "the disk is full"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 6 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(path)],
            capture_output=True,
            check=False,
        )
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def fill(flood: Flood) -> None:
    """Store until the node refuses stores."""
    until = time.monotonic() + 30
    while flood.refused.get(FULL, 0) < 300:
        assert time.monotonic() < until, flood.refused
        flood.run(100, until=time.monotonic() + 0.2)


def test_full_disk_refuses_stores_until_space_is_free(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    node = NodeProcess(small_disk / "data", files=tmp_path)
    flood = node.flood()
    try:
        fill(flood)
        assert set(flood.refused) == {FULL}
        assert len(flood.acknowledged) > 500
        assert flood.missing(list(flood.acknowledged)) == set()
        assert FULL in node.log.read_text()
        ballast.unlink()
        before = len(flood.acknowledged)
        flood.run(500, until=time.monotonic() + 20)
        assert len(flood.acknowledged) >= before + 500
        assert flood.missing(list(flood.acknowledged)) == set()
        assert node.end() == 0
        assert "Traceback" not in node.log.read_text()
    finally:
        node.kill()
        flood.close()


def test_acknowledged_values_survive_kill_9_at_a_full_disk(
    small_disk: Path, tmp_path: Path
) -> None:
    acknowledged: dict[bytes, bytes] = {}
    for _ in range(4):
        node = NodeProcess(small_disk / "data", files=tmp_path)
        flood = node.flood()
        try:
            flood.acknowledged = dict(acknowledged)
            assert flood.missing(list(acknowledged)) == set()
            fill(flood)
            flood.run(10_000, until=time.monotonic() + random.uniform(0, 0.1))
        finally:
            node.kill()
        acknowledged = flood.acknowledged
        flood.close()
    assert len(acknowledged) > 1_000
