"""Where the map of a file cannot grow, a store refuses values, is read, and recovers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.programs import ROOT, environment

PROGRAM = """
import logging, resource, sys, time
from pathlib import Path
from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.storage.lmdb_store import LmdbStore

logging.basicConfig(stream=sys.stdout, format="%(message)s")
path, spare = Path(sys.argv[1]), int(sys.argv[2])
params = Params(max_stored_bytes=1 << 40, max_bytes_per_address=1 << 40,
    max_entries=10**9, max_entries_per_address=10**9)
owner, value, now = Contact("192.0.2.1", 7, b"o" * 20), b"10000:" + bytes(10_000), time.monotonic()

STEP = 200  # some 2.4 MB: the file stays more than a megabyte smaller than its map


def limit(more_bytes):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes if more_bytes else hard, hard))


def put(number):
    store.put(number.to_bytes(20, "big"), owner, StoreEntry(value, now + 3600, received_at=now))


def fill(first, last):
    for number in range(first, last, STEP):
        for each in range(number, number + STEP):
            put(each)
        reasons = []
        store.when_durable(reasons.append)
        store.flush()
        if reasons != [None]:
            return number, reasons[0]
    return last, None


store = LmdbStore(path, params)
limit(spare)
count, reason = fill(0, 20_000)
print(reason)
for _ in range(2):
    assert fill(count, count + STEP) == (count, reason)
assert (len(store), store.stored_bytes) == (count, count * len(value))
assert all(store.get(key, 1, now) == [value] for key in store.keys())
store.close()
store = LmdbStore(path, params)  # the restart needs no more address space
assert len(list(store.keys())) == len(store) == count
limit(0)
assert fill(count, count + 5_000) == (count + 5_000, None)
assert len(list(store.keys())) == len(store) == count + 5_000
store.close()
print("done")
"""


def test_store_works_again_when_address_space_is_free(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "values"), str(40 << 20)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=50,
        check=False,
    )
    *warnings, reason, last = done.stdout.splitlines()[:2] + done.stdout.splitlines()[-1:]
    assert (done.returncode, last) == (0, "done"), done.stderr + done.stdout
    assert reason == "the address space is exhausted"
    assert "the address space is exhausted" in warnings[0]
