import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from kademlua import Node, NodeOptions, Params, RpcTimeout, sha1
from kademlua.crypto.key_files import KeyKind, write_key
from kademlua.swarm.launcher import Swarm
from kademlua.swarm.plan import Plan
from tests.support.peers import wait_until
from tests.support.programs import ROOT
from tests.swarm.conftest import SwarmProcess, eventually, free_ports, is_alive

Launch = Callable[..., SwarmProcess]


def test_swarm_joins_and_keeps_values(launch_joined: Launch) -> None:
    swarm = launch_joined(12, "--workers", "3", "--verbose")
    ports = range(swarm.first_port, swarm.first_port + 12)
    *listed, summary = swarm.out.splitlines()
    assert listed == [f"{port} : {sha1(str(port)).hex()}" for port in ports]
    assert summary.startswith("12 nodes joined in ")
    assert len(swarm.worker_pids) == 3
    control = (
        f"control node {sha1(str(swarm.control_port)).hex()} on 127.0.0.1:{swarm.control_port}\n"
    )
    assert swarm.err == control
    with Node(bootstrap=[("127.0.0.1", ports[5])], read_only=True) as client:
        report = client.add(sha1("key"), b"value")
        holders = {contact.port for contact in report.acknowledged}
        assert holders == {swarm.control_port, *ports}
        for contact in report.acknowledged:
            assert contact.id == sha1(str(contact.port))
        assert client.find_value(sha1("key"))[0].values == [b"value"]
    for port in (swarm.control_port, *ports):
        log = (swarm.log_dir / f"{port}.log").read_text()
        assert port == swarm.control_port or f"{sha1(str(port)).hex()} on port {port}" in log
        assert port == swarm.control_port or "kademlua.node: joined" in log
    assert not any(path.stat().st_size for path in swarm.log_dir.glob("worker-*.log"))
    swarm.popen.terminate()
    assert swarm.wait() == 0


def test_swarm_with_a_network_key_is_closed_to_others(
    launch_joined: Launch, tmp_path: Path
) -> None:
    key = b"k" * 32
    write_key(tmp_path / "key", KeyKind.NETWORK, key)
    swarm = launch_joined(6, "--workers", "2", "--network-key", str(tmp_path / "key"))
    bootstrap = [("127.0.0.1", swarm.first_port)]
    with Node(
        bootstrap=bootstrap, read_only=True, options=NodeOptions(network_keys=[key])
    ) as client:
        assert len(client.add(sha1("key"), b"value").acknowledged) == 7
    with Node(read_only=True) as outsider, pytest.raises(RpcTimeout):
        outsider.ping(bootstrap[0])
    # The workers receive the key through a pipe, so it appears in no command line and no log.
    for pid in (swarm.popen.pid, *swarm.worker_pids):
        assert key.hex() not in Path(f"/proc/{pid}/cmdline").read_text()
    for path in swarm.log_dir.iterdir():
        assert key.hex() not in path.read_text()


@pytest.mark.parametrize("args", [(), ("--data", "data")])
def test_control_node_has_a_control_socket(launch_joined: Launch, args: tuple[str, ...]) -> None:
    if args:
        pytest.importorskip("lmdb", reason="of the extra disk")
    swarm = launch_joined(3, *args)
    home = swarm.log_dir.parent
    if args:
        port = str(swarm.control_port)
        (home / ".local/share/kademlua").mkdir(parents=True)
        (home / ".local/share/kademlua" / port).symlink_to(home / "data" / port)
    assert swarm.command("publish", "key", "value") == "published on 4 nodes\n"
    assert "value" in swarm.command("published")
    assert "value" in swarm.command("stored")
    assert "contacts" in swarm.command("top")
    assert swarm.command("shell", stdin="6 * 7\n") == "42\n"
    workers = swarm.worker_pids
    assert swarm.command("stop").startswith("stopped ")
    assert swarm.wait() == 0
    assert not any(map(is_alive, workers))
    assert not list(home.rglob("control.sock"))
    assert args or not list((home / ".local/share/kademlua").iterdir())


def test_each_node_keeps_its_data_in_its_own_directory(
    launch_joined: Launch, tmp_path: Path
) -> None:
    pytest.importorskip("lmdb", reason="of the extra disk")
    from kademlua.storage.node_state import NodeState

    swarm = launch_joined(3, "--workers", "2", "--data", str(tmp_path / "data"))
    with Node(bootstrap=[("127.0.0.1", swarm.control_port)], read_only=True) as client:
        assert len(client.add(sha1("key"), b"value").acknowledged) == 4
    swarm.popen.terminate()
    assert swarm.wait() == 0
    for port in (swarm.control_port, *range(swarm.first_port, swarm.first_port + 3)):
        state = NodeState(tmp_path / "data" / str(port), Params(), in_background=False)
        assert state.id == sha1(str(port))
        assert state.store.stored_bytes == len(b"5:value")
        assert len(state.contacts) >= (port != swarm.control_port)
        state.close()


def test_swarm_ends_after_given_seconds(launch_joined: Launch) -> None:
    swarm = launch_joined(1, "--for", "100ms")
    assert swarm.wait() == 0
    assert swarm.out.startswith("1 node joined in ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_to_the_process_group_ends_all_workers(launch_joined: Launch, number: int) -> None:
    swarm = launch_joined(4, "--workers", "2")
    workers = swarm.worker_pids
    assert len(workers) == 2
    os.killpg(swarm.popen.pid, number)
    assert swarm.wait() == 0
    assert not any(map(is_alive, workers))
    assert "Traceback" not in swarm.err
    assert len(swarm.err.splitlines()) == 1


def test_interrupt_ends_joining_swarm(launch: Launch) -> None:
    swarm = launch(300, "--workers", "2")
    assert swarm.wait_for_output("^control node")
    assert eventually(lambda: len(swarm.worker_pids) == 2)
    workers = swarm.worker_pids
    os.killpg(swarm.popen.pid, signal.SIGINT)
    os.killpg(swarm.popen.pid, signal.SIGINT)
    assert swarm.wait() == 0
    assert not any(map(is_alive, workers))
    assert swarm.out == ""
    assert len(swarm.err.splitlines()) == 1


def test_workers_end_when_the_launcher_is_killed(launch_joined: Launch) -> None:
    swarm = launch_joined(4, "--workers", "2")
    workers = swarm.worker_pids
    swarm.popen.kill()
    assert swarm.wait() == -signal.SIGKILL
    assert eventually(lambda: not any(map(is_alive, workers)))


def test_dead_worker_ends_swarm(launch_joined: Launch) -> None:
    swarm = launch_joined(6, "--workers", "3")
    workers = swarm.worker_pids
    os.kill(workers[1], signal.SIGKILL)
    assert swarm.wait() == 1
    assert not any(map(is_alive, workers))
    first = swarm.first_port + 2
    assert swarm.err.splitlines()[1:] == [
        f"Error: worker 2 (process {workers[1]}, ports {first} to {first + 1})"
        " was killed by SIGKILL"
    ]


def test_two_swarms_form_one_network(launch_joined: Launch) -> None:
    one = launch_joined(5, "--workers", "1")
    two = launch_joined(5, "--workers", "1", "--bootstrap", f"127.0.0.1:{one.control_port}")
    assert two.err == ""
    with Node(bootstrap=[("127.0.0.1", two.first_port)], read_only=True) as client:
        ports = {contact.port for contact in client.find_node(sha1("anything"))}
    assert {one.control_port, one.first_port, two.first_port} <= ports


def test_ports_in_use_are_reported(launch_joined: Launch, launch: Launch) -> None:
    one = launch_joined(3)
    two = launch(4, "--first-port", str(one.first_port - 1))
    assert two.wait() == 1
    ports = ", ".join(str(one.first_port + each) for each in range(3))
    assert two.err == (
        f"Error: ports {ports} of 127.0.0.1: in use by another program, such as another swarm;"
        " choose other ports with --first-port\n"
    )
    assert two.out == ""


def test_shell_runs_on_the_control_node(launch_joined: Launch) -> None:
    swarm = launch_joined(8, "--shell")
    assert swarm.popen.stdin is not None
    swarm.popen.stdin.write(b'add(sha1("key"), "value")\nfindvalue(sha1("key"))\nexit\n')
    swarm.popen.stdin.flush()
    assert swarm.wait() == 0
    assert "value" in swarm.out
    assert "Traceback" not in swarm.err


def test_shell_runs_on_joined_node_next_to_other_control_node(launch_joined: Launch) -> None:
    one = launch_joined(3)
    at = f"127.0.0.1:{one.control_port}"
    two = launch_joined(3, "--bootstrap", at, "--shell")
    assert two.wait_for_output(rf"a node answers on {at}; the shell node is on port \d+")
    assert two.popen.stdin is not None
    two.popen.stdin.write(b"1 + 2\nexit\n")
    two.popen.stdin.flush()
    assert two.wait() == 0
    assert "\n3\n" in two.out


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["65000"], 2, "exceed port 65,535"),
        (["0"], 2, "COUNT"),
        (["5", "--workers", "0"], 2, "--workers"),
        (["5", "--bootstrap", "host:nonsense"], 2, "HOST:PORT"),
        (["5", "--bootstrap", "127.0.0.1:8004"], 2, "one of the swarm's own"),
        (["5", "--host", "::1", "--bootstrap", "127.0.0.1:8004"], 2, "IPv6"),
        (["5", "--host", "192.0.2.1"], 1, "can't listen on 192.0.2.1"),
        (["5", "--log-dir", "/dev/null/log"], 1, "choose another directory with --log-dir"),
        (["5", "--log-dir", "/proc"], 1, "choose another directory with --log-dir"),
    ],
)
def test_invalid_arguments_are_explained(
    tmp_path: Path, args: list[str], status: int, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kademlua", "swarm", *args],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_swarm_runs_without_usable_output(launch: Launch) -> None:
    with open("/dev/full", "wb") as full:
        swarm = launch(2, "--for", "0.2", stdout=full.fileno(), stderr=full.fileno())
        assert swarm.wait() == 0


def test_unanswered_remote_bootstrap_is_reported(launch: Launch) -> None:
    swarm = launch(2, "--bootstrap", "192.0.2.1:8001")
    assert swarm.wait() == 1
    assert swarm.err == (
        "Error: no reply from 192.0.2.1:8001, which is not an address of this machine;"
        " 127.0.0.1 reaches only this machine: use --host 0.0.0.0\n"
    )


def test_modules_in_the_working_directory_are_ignored(
    launch_joined: Launch, tmp_path: Path
) -> None:
    (tmp_path / "0").mkdir()
    for name in ("click", "gevent", "kademlua", "json"):
        (tmp_path / "0" / f"{name}.py").write_text("raise SystemExit('stray')")
    assert launch_joined(2, "--for", "0").wait() == 0


def test_progress_bar_is_shown_on_a_terminal(launch_joined: Launch) -> None:
    master, slave = pty.openpty()
    try:
        swarm = launch_joined(20, "--for", "0", stderr=slave)
        assert swarm.wait() == 0
        shown = os.read(master, 65_536).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert "joining" in shown
    assert "100%" in shown
    assert swarm.out.startswith("20 nodes joined in ")


def test_interrupt_at_a_terminal_ends_the_line(launch_joined: Launch) -> None:
    master, slave = pty.openpty()
    try:
        swarm = launch_joined(2, stderr=slave)
        swarm.popen.send_signal(signal.SIGINT)
        assert swarm.wait() == 0
        assert os.read(master, 65_536).decode().endswith("\r\n\r\n")
    finally:
        os.close(master)
        os.close(slave)


def test_all_values_are_found_after_half_of_a_hundred_nodes_were_killed(tmp_path: Path) -> None:
    first = free_ports(101)
    plan = Plan(
        node_count=100, worker_count=4, first_port=first + 1, bootstrap=("127.0.0.1", first)
    )
    keys = {sha1(f"key {number}"): b"%d" % number for number in range(200)}
    with (
        Node(first, options=NodeOptions(id=sha1(str(first)))),
        Swarm(plan, tmp_path) as swarm,
        Node(bootstrap=[("127.0.0.1", first)], read_only=True) as client,
    ):
        assert swarm.wait_joined(timeout=30)
        for key, value in keys.items():
            # On a busy machine, some replicas may not reply in time.
            wait_until(lambda key=key, value=value: len(client.add(key, value).acknowledged) >= 19)
        # Only wait() ends a swarm that has lost workers, and this test does not call it.
        for worker in swarm.workers[:2]:
            worker.kill()
        assert all(worker.wait(30) for worker in swarm.workers[:2])
        jobs = [gevent.spawn(client.find_value, key) for key in keys]
        gevent.joinall(jobs, raise_error=True)
        for job, value in zip(jobs, keys.values(), strict=True):
            assert value in [found for answer in job.get() for found in answer.values]
