"""Histories of real processes: ``kademlua node`` on loopback, asked through control sockets.

Real time, so a run is not repeated exactly by its seed. The control socket stores no records.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gevent
from gevent import subprocess

from kademlua import Params
from kademlua.control.client import ControlClient
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.errors import KademluaError
from tests.history.driver import Driver, Member, Outcome
from tests.history.faults import PROCESS_KINDS, Climate, Fault, FaultKind, schedule
from tests.history.model import History, Kind, Write
from tests.history.rules import Bounds
from tests.history.workload import Mix, Step, Workload
from tests.support import fake_clocks
from tests.support.fake_clocks import FakeClocks
from tests.support.programs import ROOT

SLOTS = 12
PARAMS = Params(
    replicas=5,
    replicate_interval=30,
    republish_interval=30,
    maintenance_interval=2,
    freshness_window=20,
)
BOUNDS = Bounds(replicas=5, grace=60, settle=30, rejoin=30)
MIX = Mix(ttls=(40, 120, 600), with_records=False)
BETWEEN = 0.5
_NO_VALUE = "has no value of this node"


def climate(duration: float) -> Climate:
    """Return the faults of a run with this length in seconds."""
    return Climate(
        slots=SLOTS,
        duration=duration,
        storm=60,
        calm=150,
        between=5,
        lasts=12,
        kinds=PROCESS_KINDS,
    )


@dataclass(slots=True)
class ProcessMember(Member):
    """A node in a process."""

    popen: subprocess.Popen[str]
    endpoint: Endpoint
    control: Path


class ProcessCluster:
    """Processes of this machine. Even slots have a data directory."""

    def __init__(self, directory: Path) -> None:
        self.members: dict[int, ProcessMember] = {}
        self._directory = directory
        self._began = time.monotonic()
        self._ports: dict[int, int] = {}
        self._clocks: dict[int, FakeClocks] = {}
        self._config = directory / "params.toml"
        changed = [
            each.name for each in fields(Params) if getattr(PARAMS, each.name) != each.default
        ]
        self._config.write_text("".join(f"{name} = {getattr(PARAMS, name)}\n" for name in changed))
        for slot in range(SLOTS):
            (directory / f"{slot}").mkdir()
            if fake_clocks.skip_reason() is None:
                self._clocks[slot] = FakeClocks(directory / f"{slot}")

    def now(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def start(self, slot: int) -> ProcessMember:
        """Start a process, and wait until it listens."""
        keeps_disk, place = slot % 2 == 0, self._directory / f"{slot}"
        control = place / "control.sock"
        others = [format_endpoint(each.endpoint) for each in self.members.values()][:5]
        stored = ["--data", str(place / "data")] if keeps_disk else ["--memory"]
        bootstrap = [word for each in others for word in ("--bootstrap", each)]
        port = self._ports.get(slot, 0)
        popen = subprocess.Popen(
            [
                *(sys.executable, "-m", "kademlua", "node", str(port), "--no-shell", *stored),
                *("--config", str(self._config), "--control", str(control)),
                *("--log-file", str(place / "node.log"), *(bootstrap or ["--no-bootstrap"])),
            ],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | self._clock_environment(slot),
        )
        assert popen.stdout is not None
        line = popen.stdout.readline()
        found = re.fullmatch(r"kademlua node ([0-9a-f]{40}) listening on ([0-9.]+):(\d+)\n", line)
        assert found is not None, f"slot {slot}: {line!r}"
        endpoint = found[2], int(found[3])
        if keeps_disk:
            self._ports[slot] = endpoint[1]
        member = ProcessMember(slot, found[1], keeps_disk, popen, endpoint, control)
        self.members[slot] = member
        return member

    def kill(self, slot: int) -> None:
        """End a process with SIGKILL."""
        _end(self.members.pop(slot), signal.SIGKILL)

    def close(self, slot: int) -> None:
        """End a process with SIGTERM."""
        _end(self.members.pop(slot), signal.SIGTERM)

    def end_all(self) -> None:
        """Kill all processes."""
        for slot in list(self.members):
            self.kill(slot)

    def begin(self, fault: Fault) -> None:
        """Stop a process, or set its wall clock."""
        slot = fault.slots[0]
        if fault.kind is FaultKind.PAUSE:
            self.members[slot].popen.send_signal(signal.SIGSTOP)
        elif slot in self._clocks:
            self._clocks[slot].set_wall_clock(fault.amount)

    def end(self, fault: Fault) -> None:
        """Continue a process."""
        self.members[fault.slots[0]].popen.send_signal(signal.SIGCONT)

    # Operations

    def write(self, member: Member, step: Step) -> Outcome:
        """Perform a write."""
        assert step.kind is not None
        value = {"value": step.value.decode(), "ttl": step.ttl} if step.value else {}
        report = self._call(member, step.kind.value, key=step.key, **value)
        if step.kind is Kind.UNPUBLISH:
            return Outcome(frozenset())
        refused = (each for each in report["refused"] if each["reason"] == _NO_VALUE)
        return Outcome(_names(report["acknowledged"]), _names(refused))

    def find(self, member: Member, step: Step) -> dict[str, tuple[bytes, ...]]:
        """Return the values of each node."""
        answers = SLOTS if step.is_exhaustive else 3
        found = self._call(member, "find", key=step.key, answers=answers)["answers"]
        return {
            each["contact"]["id"]: tuple(value.encode() for value in each["values"])
            for each in found
        }

    def holds(self, name: str, write: Write) -> bool | None:
        """Read the store of a running process; None if it does not reply."""
        for member in list(self.members.values()):
            if member.name == name:
                with suppress(KademluaError), ControlClient(member.control, timeout=2) as client:
                    rows = list(client.stream("stored", key=write.key))
                    if write.kind is Kind.REMOVE:
                        return any(each["owner"]["id"] == write.owner for each in rows)
                    return any(each["value"] == write.value.decode() for each in rows)
        return None

    def _call(self, member: Member, name: str, **arguments: Any) -> dict[str, Any]:
        with ControlClient(self.members[member.slot].control) as client:
            return client.call(name, **arguments)

    def _clock_environment(self, slot: int) -> dict[str, str]:
        return self._clocks[slot].environment if slot in self._clocks else {}


def run(seed: int, duration: float) -> History:
    """Return the history of a run of ``duration`` seconds."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kademlua-") as directory:
        cluster = ProcessCluster(Path(directory))
        workload = Workload(random.Random(rng.random()), MIX)
        driver = Driver(cluster, workload, random.Random(rng.random()))
        try:
            for slot in range(SLOTS):
                driver.start(slot)
            gevent.sleep(5)
            driver.run(schedule(random.Random(rng.random()), climate(duration)), duration, BETWEEN)
        finally:
            cluster.end_all()
    return driver.history


def _end(member: ProcessMember, number: signal.Signals) -> None:
    member.popen.send_signal(number)
    if number is signal.SIGKILL:
        member.popen.send_signal(signal.SIGCONT)
    member.popen.wait(60)
    assert member.popen.stdout is not None
    member.popen.stdout.close()


def _names(contacts: Any) -> frozenset[str]:
    return frozenset(each["id"] for each in contacts)
