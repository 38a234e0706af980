"""CPU per request of one node under load, beside a loop in C that only echoes.

A client keeps requests in flight over one socket; the server has a process of its own, and
its CPU is what is counted. The loop in C gets the very packets that the node gets.
"""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kademlua.core.ids import random_id
from kademlua.core.wire import packets as protocol
from kademlua.core.wire.packets import Response
from tests.benchmarks.in_c import compile_both
from tests.benchmarks.packets import RPCS, VERSIONS, requests_for
from tests.benchmarks.servers import EchoServer, Neighbours, NodeServer, echo_server, node_server
from tests.benchmarks.table import markdown
from tests.benchmarks.verdict import verdict

IN_FLIGHT = 16
_WARM_UP = 500
TARGETS = {"ping": 2.0, "store": 4.0, "findnode": 3.0, "findvalue": 3.5}
"""Multiples of the loop in C."""


@dataclass(slots=True)
class Load:
    """CPU in microseconds by request, one of each round."""

    rpc: str
    version: str
    node: list[float]
    echo: list[float]
    """Empty where there is no compiler."""

    def ratio(self) -> float | None:
        """The median of the rounds' ratios."""
        if not self.echo:
            return None
        return median(own / c for own, c in zip(self.node, self.echo, strict=True))


Client = Callable[[socket.socket, NodeServer | EchoServer, Sequence[bytes]], None]
"""Sends packets to a server and takes its answers, a few in flight."""


def measure_rpcs(rounds: int, requests: int, seed: int, say: Callable[[str], None]) -> list[Load]:
    """Load a fresh node and the loop in C with each RPC, in turns."""
    loads = [Load(rpc, version, [], []) for rpc in RPCS for version in VERSIONS]
    with tempfile.TemporaryDirectory() as folder:
        programs = compile_both(Path(folder))
        if programs is None:
            say("no compiler: no loop in C to compare with, and a slower client")
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: CPU per request")
            _one_round(loads, requests, random.Random(seed + number), programs)
    return loads


def _one_round(
    loads: list[Load], requests: int, rng: random.Random, programs: tuple[Path, Path] | None
) -> None:
    client: Client = _client_in_c(programs[1]) if programs else _client_in_python
    node_id = random_id(rng)
    neighbours = Neighbours(node_id, rng)
    with ExitStack() as stack:
        stack.callback(neighbours.close)
        node = stack.enter_context(node_server(node_id, neighbours))
        echo = stack.enter_context(echo_server(programs[0])) if programs else None
        keys = [random_id(rng) for _ in range(requests)]
        for load in loads:
            packets = list(requests_for(load.rpc, load.version, neighbours.client_id, keys, rng))
            _check(neighbours.client, node, packets[0])
            if echo is not None:
                load.echo.append(_cpu_per_request(client, neighbours.client, echo, packets))
            load.node.append(_cpu_per_request(client, neighbours.client, node, packets))


def _cpu_per_request(
    client: Client,
    sock: socket.socket,
    server: NodeServer | EchoServer,
    packets: Sequence[bytes],
) -> float:
    client(sock, server, packets[:_WARM_UP])
    before = server.cpu_us()
    client(sock, server, packets)
    return (server.cpu_us() - before) / len(packets)


def _check(sock: socket.socket, node: NodeServer, packet: bytes) -> None:
    """Make sure that what will be measured is answers, and no errors."""
    sock.settimeout(5)
    sock.sendto(packet, ("127.0.0.1", node.port))
    answer = protocol.decode(sock.recv(65_536))
    sock.settimeout(None)
    if not isinstance(answer, Response) or answer.packet_type != protocol.RESPONSE:
        raise RuntimeError("the node did not answer as it should")


def _client_in_c(program: Path) -> Client:
    def run(sock: socket.socket, server: NodeServer | EchoServer, packets: Sequence[bytes]) -> None:
        numbers = (sock.fileno(), server.port, IN_FLIGHT, int(server.echoes))
        subprocess.run(
            [str(program), *map(str, numbers)],
            input=b"".join(len(each).to_bytes(2, "big") + each for each in packets),
            pass_fds=[sock.fileno()],
            check=True,
        )

    return run


def _client_in_python(
    sock: socket.socket, server: NodeServer | EchoServer, packets: Sequence[bytes]
) -> None:
    sock.settimeout(5)
    waiting = iter(packets)
    to = ("127.0.0.1", server.port)
    for packet in packets[:IN_FLIGHT]:
        sock.sendto(next(waiting, packet), to)
    answered = 0
    while answered < len(packets):
        answer = sock.recv(65_536)
        if answer[29] == protocol.REQUEST and not server.echoes:
            continue
        answered += 1
        packet = next(waiting, b"")
        if packet:
            sock.sendto(packet, to)


def rpc_text(loads: Sequence[Load]) -> str:
    """The table of the loads."""
    header = ["CPU per request, µs", "wire", "Kademlua", "echo in C", "ratio", "wanted", ""]
    return "\n".join(markdown(header, [_row(load) for load in loads]))


def _row(load: Load) -> list[str]:
    wanted = TARGETS[load.rpc]
    ratio = load.ratio()
    row = [load.rpc, load.version, f"{median(load.node):.1f}"]
    if ratio is None:
        return [*row, "", "", f"≤ {wanted}", "not measured"]
    return [
        *row,
        f"{median(load.echo):.1f}",
        f"{ratio:.2f}",
        f"≤ {wanted}",
        verdict(is_met=ratio <= wanted),
    ]
