"""Long operations let other greenlets run, so that datagrams are answered meanwhile."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.api.fields import Fields
from kademlua.api.json_form import stored_value_to_json
from kademlua.api.operations import NodeApi
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.core.values.memory_store import MemoryStore
from kademlua.core.values.store import Store, StoreEntry
from kademlua.node.options import NodeOptions
from kademlua.replication.replicator import Replicator
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.time_slices import in_slices, yield_to_hub
from kademlua.storage.export_format import stored_values, to_json_lines
from kademlua.storage.lmdb_store import LmdbStore
from tests.support.parts import value_transfer

KEY = sha1("key")
LONGEST_WAIT = 0.01
"""Seconds of CPU time for which a datagram may wait."""
VALUES_OF_KEY = 1_000
SMALL_KEYS = 4_000
CROWDED_KEY = sha1("crowded")
"""A key with as many small values."""
PARAMS = Params(
    max_stored_bytes=1 << 30,
    max_bytes_per_address=1 << 30,
    max_entries_per_key=SMALL_KEYS,
    subnet_limit_key=SMALL_KEYS,
)


def fill(store: Store, now: float) -> None:
    """Store 1,000 values of 14 kB under one key, and small ones under another and many keys."""
    for number in range(VALUES_OF_KEY):
        owner = Contact("192.0.2.1", 1 + number, sha1(f"owner {number}"))
        encoded = b"14000:%014000d" % number
        store.put(KEY, owner, StoreEntry(encoded, now + 3_600, received_at=now))
    for number in range(SMALL_KEYS):
        owner = Contact("192.0.2.2", 1 + number, sha1("owner"))
        entry = StoreEntry(b"3:abc", now + 3_600, received_at=now)
        store.put(sha1(str(number)), owner, entry)
        store.put(CROWDED_KEY, owner, entry)


@pytest.fixture(scope="module")
def disk_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "values"
    store = LmdbStore(path, PARAMS, in_background=False)
    fill(store, boot_clock())
    store.close()
    return path


@pytest.fixture(params=["memory", "disk"])
def node(request: pytest.FixtureRequest, disk_path: Path) -> Iterator[Node]:
    store: Any
    if request.param == "memory":
        store = MemoryStore(PARAMS)
        fill(store, boot_clock())
    else:
        store = LmdbStore(disk_path, PARAMS)
    node = Node(options=NodeOptions(store=store), params=PARAMS)
    node.start()
    yield node
    node.close(hand_over=False)
    if request.param == "disk":
        store.close()


def longest_wait(operation: Callable[[], object]) -> float:
    """Return the longest CPU time between two wake-ups of a greenlet that waits for a socket.

    CPU time does not count other processes; the garbage of the test process does not count, either.
    """
    waits = [0.0]
    near, far = gevent.socket.socketpair()

    def echo() -> None:
        last = time.thread_time()
        while True:
            near.send(b"x")
            gevent.socket.wait_read(far.fileno())  # recv would not wait for what is there
            far.recv(1)
            now = time.thread_time()
            waits.append(now - last)
            last = now

    echoing = gevent.spawn(echo)
    gc.collect()
    gc.disable()
    try:
        gevent.spawn(operation).get()
        gevent.sleep(0)
    finally:
        gc.enable()
        echoing.kill()
        near.close()
        far.close()
    assert len(waits) > 2, "the operation let no other greenlet run"
    return max(waits)


def export(node: Node) -> None:
    store = node.datastore
    for _ in to_json_lines(stored_values(store, store.keys(), boot_clock)):
        pass


def list_values(node: Node) -> None:
    assert sum(1 for _ in NodeApi(node).stream("stored", {})) == VALUES_OF_KEY + 2 * SMALL_KEYS


def import_values(node: Node) -> None:
    """Import small values, as many as one request of the control socket holds, several times."""
    store = node.datastore
    values = stored_values(store, (sha1(str(number)) for number in range(3_000)), boot_clock)
    rows = [stored_value_to_json(each) for each in in_slices(values, boot_clock)]
    assert NodeApi(node).call("import", {"values": rows})["imported"] == 3_000


def read_rows_of_import(node: Node) -> None:
    value = next(stored_values(node.datastore, [sha1("1")], boot_clock))
    row = stored_value_to_json(value)
    assert len(Fields({"values": [row] * 3_000}).stored_values(boot_clock)) == 3_000


def find_locally(node: Node) -> None:
    limits = FindLimits(max_values_per_node=300, max_bytes=1 << 30)
    for _ in range(2):
        [answer] = node.find_value(KEY, 1, limits=limits)
        assert len(answer.values) == 300  # twice what a find accepts by default
        yield_to_hub()


def find_in_crowded_key(node: Node) -> None:
    [answer] = node.find_value(CROWDED_KEY, 1, limits=FindLimits(max_values_per_node=100))
    assert len(answer.values) == 100
    yield_to_hub()


def read_for_replication(node: Node) -> None:
    """Read all values of a key, and send them to no recipient."""
    value_transfer(node).push(KEY, [])


def scan_for_replication(node: Node) -> None:
    Replicator(node.services.context, value_transfer(node)).tick(node.now + 1_000)


def expire(node: Node) -> None:
    while node.datastore.expire(node.now + 7_200):
        yield_to_hub()
    assert not len(node.datastore)


@pytest.mark.parametrize(
    "operation",
    [
        export,
        list_values,
        import_values,
        read_rows_of_import,
        find_locally,
        find_in_crowded_key,
        read_for_replication,
        scan_for_replication,
        expire,
    ],
)
def test_no_datagram_waits_for_a_long_operation(
    node: Node, operation: Callable[[Node], None]
) -> None:
    # Other processes slow the CPU down: the best of some runs counts.
    waits: list[float] = []
    while not waits or (min(waits) >= LONGEST_WAIT and len(waits) < 5):
        waits.append(longest_wait(lambda: operation(node)))
    assert min(waits) < LONGEST_WAIT, waits
