"""Machines of a test's own: network namespaces at one switch, which nobody else can reach.

All of them are inside of one namespace more, that of the switch; when its process ends, all of
it is gone. Only root may make them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cli.conftest import Output, Process
from tests.support.programs import ROOT

NETWORK = "10.77.0"
SWITCH = "switch0"


def skip_reason(*programs: str) -> str | None:
    """Why there can be no machines here, or none with these programs."""
    missing = [each for each in ("unshare", "nsenter", "ip", *programs) if not shutil.which(each)]
    if missing:
        return f"no {', '.join(missing)} here"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        return "network namespaces are not allowed here"
    return None


class Machine:
    """A network namespace, held by a process that sleeps."""

    def __init__(self, exit_stack: ExitStack, parent: Machine | None = None) -> None:
        sleeper = ["unshare", "--net", "sleep", "1000"]
        self._exit_stack = exit_stack
        # A pipe tells when the namespace is there: echo comes after unshare.
        popen = subprocess.Popen(
            [*(parent.prefix if parent else []), *sleeper[:2], "sh", "-c", "echo; exec sleep 1000"],
            stdout=subprocess.PIPE,
        )
        exit_stack.callback(_kill, popen)
        assert popen.stdout is not None
        popen.stdout.readline()
        self.pid = popen.pid
        self.run("ip", "link", "set", "lo", "up")

    @property
    def prefix(self) -> list[str]:
        """What runs a command here."""
        return ["nsenter", "--net", f"--target={self.pid}"]

    def run(self, *args: str) -> str:
        """Run a command to its end; its output."""
        done = subprocess.run([*self.prefix, *args], capture_output=True, text=True, timeout=40)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kademlua(self, *args: str, home: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of Kademlua to its end."""
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "kademlua", *args],
            capture_output=True,
            text=True,
            timeout=40,
            cwd=home,
            env=_environment(home),
        )

    def node(self, *args: str, home: Path) -> tuple[Process, Output]:
        """Start a node; what it logs."""
        popen = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "kademlua", "node", *args, "--no-shell"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_environment(home),
        )
        self._exit_stack.callback(_kill, popen)
        process = Process(popen)
        process.out.expect("listening on")
        return process, process.err


class Lab(Machine):
    """The machine with the switch, to which the others are plugged."""

    def __init__(self, exit_stack: ExitStack) -> None:
        super().__init__(exit_stack)
        self._host_count = 0
        self.run("ip", "link", "add", SWITCH, "type", "bridge")
        self.run("ip", "link", "set", SWITCH, "up")

    def add_host(self) -> tuple[Machine, str]:
        """A machine at the switch, and its address."""
        self._host_count += 1
        address = f"{NETWORK}.{self._host_count}"
        machine = Machine(self._exit_stack, self)
        connect(self, f"port{self._host_count}", machine, f"{address}/24")
        self.run("ip", "link", "set", f"port{self._host_count}", "master", SWITCH)
        return machine, address

    def add_nat_host(self) -> Machine:
        """A machine that reaches the switch through a router, which hides its address."""
        router, _ = self.add_host()
        inner = Machine(self._exit_stack, self)
        connect(router, "inner0", inner, "192.168.7.2/24")
        router.run("ip", "addr", "add", "192.168.7.1/24", "dev", "inner0")
        inner.run("ip", "route", "add", "default", "via", "192.168.7.1")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        rule = ["POSTROUTING", "-s", "192.168.7.0/24", "-j", "MASQUERADE"]
        router.run("iptables", "-t", "nat", "-A", *rule)
        return inner

    def unplug(self, number: int) -> None:
        """Take the nth machine's wire out."""
        self.run("ip", "link", "set", f"port{number}", "down")

    def plug(self, number: int) -> None:
        """Put it in again."""
        self.run("ip", "link", "set", f"port{number}", "up")


def connect(machine: Machine, name: str, other: Machine, address: str) -> None:
    """A wire from one machine to another, where it ends as ``eth0`` with an address."""
    peer = ["peer", "name", "eth0", "netns", str(other.pid)]
    machine.run("ip", "link", "add", name, "type", "veth", *peer)
    machine.run("ip", "link", "set", name, "up")
    other.run("ip", "addr", "add", address, "dev", "eth0")
    other.run("ip", "link", "set", "eth0", "up")


@contextmanager
def machines() -> Iterator[Lab]:
    """A switch, and room for machines at it."""
    with ExitStack() as exit_stack:
        yield Lab(exit_stack)


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {"HOME": str(home), "PYTHONPATH": str(ROOT)}


def _kill(popen: subprocess.Popen[bytes]) -> None:
    popen.kill()
    popen.wait()
    for stream in (popen.stdout, popen.stderr):
        if stream is not None:
            stream.close()
