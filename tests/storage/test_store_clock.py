"""Lifetimes on disk, whatever happens to the clocks: no value outlives its TTL or expires early."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import Clocks
from kademlua.storage.lmdb_store import LmdbStore

KEY, OTHER, THIRD = b"k" * 20, b"o" * 20, b"t" * 20
ANNA = Contact("192.0.2.1", 1, b"A" * 20)
EPOCH = 1.8e9
"""The wall time of the true time 0."""
MINUTE, HOUR, DAY, YEAR = 60.0, 3_600.0, 86_400.0, 365 * 86_400.0
STEPS = [-YEAR, -3 * DAY, -2 * HOUR, 2 * HOUR, 3 * DAY, YEAR]
"""Errors of the wall clock, in seconds."""
SINCE_1970 = -EPOCH
"""The error of a wall clock that starts in 1970."""
BOOT_TIME = 20.0
"""Seconds from the start of the machine to that of the node."""


class Machine:
    """A machine with a store, whose clocks follow a true time that only it knows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.true_time = 0.0
        self._booted_at = -5_000.0
        self._boot_number = 1
        self.wall_error = 0.0
        self.seconds_per_reading = 0.0
        """What the true time advances with each reading of the clock."""
        self.start()

    def start(self) -> None:
        clocks = Clocks(
            clock=self.clock,
            wall_clock=lambda: EPOCH + self.true_time + self.wall_error,
            boot_id=self._boot_number.to_bytes(16, "big"),
        )
        self.store = LmdbStore(self.path, Params(), clocks=clocks, in_background=False)

    def clock(self) -> float:
        self.true_time += self.seconds_per_reading
        return self.true_time - self._booted_at

    def stop(self) -> None:
        self.store.close()

    def kill(self) -> None:
        """End the process: the next start sees the commits so far, but not those of ``close``."""
        self.store.flush()
        former, self.path = self.path, self.path.with_name(self.path.name + "+")
        shutil.copy(former, self.path)
        self.store.close()

    def wait(self, seconds: float) -> None:
        """Let time pass; maintenance runs if the node does."""
        self.true_time += seconds

    def beat(self) -> None:
        """Do what maintenance does every ten seconds."""
        self.store.expire(self.clock())
        self.store.flush()

    def reboot(self, seconds: float) -> None:
        """Stay off for some time, and boot."""
        self.true_time += seconds
        self._booted_at = self.true_time
        self._boot_number += 1
        self.true_time += BOOT_TIME

    def put(self, key: bytes, ttl: float) -> None:
        now = self.clock()
        self.store.put(key, ANNA, StoreEntry(b"1:v", now + ttl, received_at=now))

    def remaining(self, key: bytes) -> float | None:
        """Return the seconds for which a value is shown."""
        for _, entry in self.store.entries(key):
            return entry.expires_at - self.clock()
        return None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "values")
    yield machine
    machine.stop()


def test_remaining_lifetime_survives_a_restart(machine: Machine) -> None:
    machine.put(KEY, ttl=100)
    machine.stop()
    machine.wait(30)
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(70, abs=0.01)
    assert machine.store.next_expiry() == pytest.approx(machine.clock() + 70, abs=0.01)
    machine.wait(69.9)
    assert machine.store.get(KEY, 1, machine.clock()) == [b"1:v"]
    machine.wait(0.2)
    assert machine.store.get(KEY, 1, machine.clock()) == []
    assert machine.store.expire(machine.clock()) == 1


@pytest.mark.parametrize("step", [*STEPS, SINCE_1970])
def test_wall_clock_is_set_while_the_node_runs(machine: Machine, step: float) -> None:
    machine.put(KEY, ttl=DAY)
    machine.wall_error = step
    machine.wait(HOUR)
    machine.beat()
    assert machine.remaining(KEY) == pytest.approx(DAY - HOUR, abs=0.01)
    machine.stop()
    machine.wait(HOUR)
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(DAY - 2 * HOUR, abs=0.01)


@pytest.mark.parametrize("step", [*STEPS, SINCE_1970])
def test_wall_clock_is_set_while_the_node_is_down(machine: Machine, step: float) -> None:
    machine.put(KEY, ttl=DAY)
    machine.stop()
    machine.wall_error = step
    machine.wait(HOUR)
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(DAY - HOUR, abs=0.01)


@pytest.mark.parametrize("step", [*STEPS, SINCE_1970])
def test_wall_clock_was_wrong_at_the_first_start(tmp_path: Path, step: float) -> None:
    machine = Machine(tmp_path / "other")
    machine.stop()
    (tmp_path / "other").unlink()
    machine.wall_error = step
    machine.start()
    machine.wall_error = 0
    machine.put(KEY, ttl=DAY)
    assert machine.remaining(KEY) == pytest.approx(DAY)
    machine.stop()
    machine.reboot(HOUR)
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(DAY - HOUR - BOOT_TIME, abs=0.01)
    machine.stop()


@pytest.mark.parametrize("step", STEPS)
def test_wall_clock_is_set_before_a_reboot(machine: Machine, step: float) -> None:
    """The last beat saw the new time, and the clock keeps it across the reboot."""
    machine.put(KEY, ttl=DAY)
    machine.wall_error = step
    machine.beat()
    machine.wait(HOUR)
    machine.kill()
    machine.reboot(HOUR)
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(DAY - 2 * HOUR - BOOT_TIME, abs=0.01)


@pytest.mark.parametrize("error", [SINCE_1970, -YEAR, -3 * DAY, -HOUR, 5 * MINUTE])
def test_wall_clock_is_wrong_after_a_reboot_until_it_is_set(machine: Machine, error: float) -> None:
    machine.put(KEY, ttl=DAY)
    machine.stop()
    machine.reboot(2 * HOUR)
    machine.wall_error = error
    machine.start()
    machine.put(OTHER, ttl=HOUR)
    machine.wait(MINUTE)
    machine.beat()
    machine.put(THIRD, ttl=HOUR)
    machine.wall_error = 0  # by NTP
    machine.beat()
    assert machine.remaining(THIRD) == pytest.approx(HOUR, abs=0.01)
    expected = DAY - 2 * HOUR - BOOT_TIME - MINUTE
    assert machine.remaining(KEY) == pytest.approx(expected, abs=0.01)
    assert machine.remaining(OTHER) == pytest.approx(HOUR - MINUTE, abs=0.01)
    machine.put(OTHER, ttl=2 * HOUR)
    machine.stop()
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(expected, abs=0.01)
    assert machine.remaining(OTHER) == pytest.approx(2 * HOUR, abs=0.01)
    machine.wait(2 * HOUR)
    assert machine.store.expire(machine.clock()) == 2
    machine.wait(DAY)
    assert machine.store.expire(machine.clock()) == 1
    assert len(machine.store) == 0


def test_implausible_wall_clock_after_a_reboot_is_ignored(machine: Machine) -> None:
    """A machine without a real-time clock that is never told the time: only the uptime counts."""
    machine.put(KEY, ttl=HOUR)
    for _ in range(10):
        machine.stop()
        machine.reboot(0)
        machine.wall_error = SINCE_1970
        machine.start()
        machine.wait(5 * MINUTE)
        machine.beat()
    assert machine.remaining(KEY) == pytest.approx(HOUR - 10 * (5 * MINUTE + BOOT_TIME), abs=0.01)


def test_values_do_not_expire_early_once_the_time_is_known(machine: Machine) -> None:
    machine.wall_error = SINCE_1970
    machine.put(KEY, ttl=DAY)
    machine.stop()
    machine.reboot(0)
    machine.wall_error = 0
    machine.start()
    assert machine.remaining(KEY) == pytest.approx(DAY - BOOT_TIME, abs=0.01)


def test_other_greenlets_run_while_values_are_corrected(machine: Machine) -> None:
    """A store meanwhile neither expires values early nor is corrected itself."""
    machine.put(THIRD, ttl=100)
    machine.stop()
    machine.wall_error = SINCE_1970
    machine.reboot(HOUR)
    machine.start()
    stored_at = machine.clock()
    for number in range(200):
        machine.put(number.to_bytes(20, "big"), ttl=HOUR)
    machine.wall_error = 0.0
    runs = 0

    def run() -> None:
        nonlocal runs
        while True:
            machine.put(KEY, ttl=100)
            machine.put(OTHER, ttl=2 * HOUR)
            runs += 1
            gevent.sleep(0)

    machine.seconds_per_reading = 0.001
    greenlet = gevent.spawn(run)
    machine.store.expire(machine.clock())
    greenlet.kill()
    machine.seconds_per_reading = 0.0
    assert runs > 50  # once for some rows
    assert machine.remaining(KEY) == pytest.approx(100, abs=5)
    assert machine.remaining(OTHER) == pytest.approx(2 * HOUR, abs=5)
    remaining = stored_at + HOUR - machine.clock()
    for number in range(200):
        assert machine.remaining(number.to_bytes(20, "big")) == pytest.approx(remaining, abs=0.01)


def test_wall_clock_that_is_set_late_after_a_reboot_changes_nothing(machine: Machine) -> None:
    machine.put(KEY, ttl=30 * DAY)
    machine.stop()
    machine.reboot(HOUR)
    machine.start()
    machine.wait(2 * HOUR)
    machine.wall_error = 3 * DAY
    machine.beat()
    assert machine.remaining(KEY) == pytest.approx(30 * DAY - 3 * HOUR - BOOT_TIME, abs=0.01)


def test_store_without_a_sample_uses_the_wall_clock(tmp_path: Path) -> None:
    """As of a version that saved no samples, and of a system that has no boot id."""
    wall = EPOCH

    def opened() -> LmdbStore:
        clocks = Clocks(clock=lambda: 0.0, wall_clock=lambda: wall, boot_id=b"")
        return LmdbStore(tmp_path / "values", Params(), clocks=clocks, in_background=False)

    store = opened()
    store.put(KEY, ANNA, StoreEntry(b"1:v", 100.0, received_at=0.0))
    store.close()
    wall = EPOCH + 30
    store = opened()
    assert store.next_expiry() == pytest.approx(70)
    store.close()


def test_idle_store_saves_its_time_seldom(machine: Machine) -> None:
    machine.put(KEY, ttl=DAY)
    machine.beat()
    before = machine.path.read_bytes()
    for _ in range(50):
        machine.wait(10)
        machine.beat()
    assert machine.path.read_bytes() == before
    machine.wait(120)
    machine.beat()
    assert machine.path.read_bytes() != before


@settings(max_examples=100)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["wait", "set", "restart", "kill", "reboot", "put"]),
            st.floats(1, 2 * DAY),
            st.sampled_from([0.0, *STEPS]),
        ),
        max_size=20,
    )
)
def test_any_order_of_events(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, float, float]]
) -> None:
    """The wall clock is set at any time, but keeps its error across a reboot."""
    machine = Machine(tmp_path_factory.mktemp("any") / "values")
    machine.put(KEY, ttl=60 * DAY)
    ends = machine.true_time + 60 * DAY
    for event, seconds, step in events:
        if event == "set":
            machine.wall_error = step
            machine.beat()
        elif event == "put":
            machine.put(OTHER, ttl=seconds)
        elif event in {"restart", "kill", "reboot"}:
            machine.kill() if event == "kill" else machine.stop()
            (machine.reboot if event == "reboot" else machine.wait)(seconds)
            machine.start()
            machine.wait(HOUR)
        machine.wait(seconds)
        machine.beat()
        assert machine.remaining(KEY) == pytest.approx(ends - machine.true_time, abs=1)
    machine.stop()
