"""Commands that act through a running node, and ``kademlua shell``, as processes."""

from __future__ import annotations

import json
import signal
import stat

import pytest

from kademlua.core.ids import sha1

KEY = sha1("key").hex()


@pytest.fixture
def daemon(launch):
    """A node in memory with a control socket."""
    process, _ = launch.node("--memory", "--control", "sock")
    return process


def test_value_is_published_and_unpublished(launch, failed):
    pytest.importorskip("lmdb", reason="of the extra disk")
    process, _ = launch.node("--data", "data")
    done = launch.run("publish", "key", "the value", "--ttl", "2h", "--data", "data")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"published on 1 node\n", b"")
    process.popen.kill()
    process.wait()
    line = failed(launch.run("published", "--data", "data"), 1)
    assert line == "Error: no node runs at data/control.sock: nothing listens there\n"

    # The port is part of the owner. The node replaces the socket of the killed one.
    again = launch.start("node", port_of(process), "--no-bootstrap", "--no-shell", "--data", "data")
    again.out.expect("listening")
    done = launch.run("published", "--data", "data")
    assert done.stdout.decode() == f"{KEY}       2h  the value\n"
    done = launch.run("published", "--data", "data", "--json")
    assert json.loads(done.stdout) == {"key": KEY, "value": "the value", "ttl": 7200}
    assert launch.run("stored", "key", "--data", "data").stdout.endswith(b"m  the value\n")
    done = launch.run("unpublish", "key", "--data", "data")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert "no value under key" in failed(launch.run("unpublish", "key", "--data", "data"), 1)
    assert launch.run("remove", "key", "--data", "data").stdout == b"removed on 1 node\n"
    assert "stores no value of key" in failed(launch.run("stored", "key", "--data", "data"), 1)
    assert launch.run("stored", "--data", "data").stdout == b""


def test_control_socket_is_private_and_removed_at_exit(launch, tmp_path, daemon):
    assert stat.S_IMODE((tmp_path / "sock").stat().st_mode) == 0o600
    daemon.popen.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not (tmp_path / "sock").exists()


def test_running_node_owns_the_values_it_adds(launch, daemon):
    content = bytes(range(256))
    done = launch.run("add", "key", "-", "--control", "sock", stdin=content)
    assert done.stdout == b"stored on 1 node\n"
    assert launch.run("find", "key", "--raw", "--control", "sock").stdout == content
    row = json.loads(launch.run("stored", "--json", "--control", "sock").stdout)
    own_id = daemon.out.text.split()[2]
    assert (row["key"], row["owner"]["id"], row["value"]) == (KEY, own_id, {"hex": content.hex()})
    assert 86_000 < row["remaining_seconds"] <= 86_400
    launch.run("add", "key", "another", "--control", "sock")  # replaces the previous value
    assert launch.run("find", "key", "--control", "sock").stdout == b"another\n"


def test_running_node_performs_lookups(launch, daemon, failed):
    _, address = launch.node("--bootstrap", "127.0.0.1:" + port_of(daemon))
    done = launch.run("ping", address, "--control", "sock", "--json")
    found = json.loads(done.stdout)
    assert address == f"{found['address']}:{found['port']}"
    assert launch.run("lookup", "key", "--control", "sock").stdout.startswith(found["id"].encode())
    assert "--via" in failed(launch.run("find", "key", "--via", address, "--control", "sock"), 2)


def test_lookup_of_running_node_is_traced(launch, daemon):
    _, address = launch.node("--bootstrap", "127.0.0.1:" + port_of(daemon))
    done = launch.run("lookup", "key", "--trace", "--control", "sock")
    assert (done.returncode, done.stderr) == (0, b"")
    heading, line = done.stdout.decode().splitlines()
    assert f"by 127.0.0.1:{port_of(daemon)}: " in heading
    assert line.startswith("└── ")
    assert f"  {address}  +" in line
    assert line.endswith(" #1")
    done = launch.run("lookup", "key", "--trace", "--control", "sock", "--json")
    found = json.loads(done.stdout)
    assert found["trace"]["queries"][0]["id"] == found["contacts"][0]["id"]


def port_of(process):
    return process.out.text.strip().rpartition(":")[2]


def test_missing_node_is_reported(launch, failed):
    for args, where in [
        (("published",), "on port 8001, or only one without a data directory"),
        (("stored", "--port", "8001"), "on port 8001, or only one without a data directory"),
        (("stored", "--port", "9001"), "on port 9001, or only one without a data directory"),
        (("add", "k", "v", "--data", "data"), "at data/control.sock: there is no such socket"),
        (("shell", "--control", "none"), "at none: there is no such socket"),
    ]:
        assert failed(launch.run(*args), 1).startswith(f"Error: no node runs {where}")


def test_wrong_use_is_reported(launch, failed, tmp_path):
    assert "Missing argument 'VALUE'" in failed(launch.run("publish", "key"), 2)
    assert "--ttl" in failed(launch.run("publish", "k", "v", "--ttl", "soon"), 2)
    assert "40 hex digits" in failed(launch.run("remove", "--hex", "xyz"), 2)
    (tmp_path / "file").write_text("mine")
    done = launch.run("node", "0", "--no-bootstrap", "--memory", "--control", "file")
    assert done.stderr.endswith(b"Error: no control socket at file: another file is there\n")
    assert done.returncode == 1


def test_unusable_default_socket_path_is_logged_only(launch, tmp_path):
    pytest.importorskip("lmdb", reason="of the extra disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "control.sock").write_text("mine")
    process, _ = launch.node("--data", "data")
    process.err.expect("WARNING .* no control socket at data/control.sock: another file is there")


def test_running_node_exports_and_imports_values(launch, tmp_path, failed):
    pytest.importorskip("lmdb", reason="of the extra disk")
    one, _ = launch.node("--data", "one")
    for key in ("k", "l"):
        launch.run("add", key, "v" + key, "--data", "one")
    done = launch.run("export", "values.jsonl", "--data", "one")
    assert (done.returncode, done.stderr) == (0, b"2 values exported\n")
    (tmp_path / "small.toml").write_text("max_entries = 1\n")
    launch.node("--data", "two", "--config", "small.toml")
    done = launch.run("import", "values.jsonl", "--data", "two")
    assert done.returncode == 1
    assert done.stderr == b"1 values imported\nError: refused: 1 \xc3\x97 no room for more values\n"
    assert launch.run("stored", "--data", "two").stdout.count(b"\n") == 1
    one.popen.kill()
    one.wait()
    again = launch.run("export", "-", "--data", "one").stdout.splitlines()
    former = (tmp_path / "values.jsonl").read_bytes().splitlines()
    assert [fields(line) for line in again[:-1]] == [fields(line) for line in former[:-1]]


def fields(line):
    """Return the fields of a line, except the expiry, which differs by rounding."""
    return {key: value for key, value in json.loads(line).items() if key != "ends"}


# kademlua shell


def test_shell_reads_a_pipe(launch, daemon):
    done = launch.run("shell", "--control", "sock", stdin=b"x = 20\nx + 1\n1/0\nnode.id.hex()\n")
    assert done.returncode == 0
    assert done.stdout.decode() == f"21\n'{daemon.out.text.split()[2]}'\n"
    assert done.stderr == b"ZeroDivisionError: division by zero\n"


def test_shell_on_a_terminal(launch, daemon):
    terminal = launch.terminal("shell", "--control", "sock")
    terminal.out.expect("to end the shell\\.\n.* > ")
    terminal.type("publishe\t()\n")
    terminal.out.expect(r"published\(\)\n\[\]\n.* > ")
    terminal.type("import gevent; print('asleep'); gevent.sleep(3600)\n")
    terminal.out.expect("^asleep\n")
    terminal.type("\x03")
    terminal.out.expect("interrupted\n.* > ")
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert terminal.has_echo()
    assert daemon.popen.poll() is None


def test_node_exit_ends_attached_shell(launch, daemon):
    terminal = launch.terminal("shell", "--control", "sock")
    terminal.out.expect(" > ")
    daemon.popen.kill()
    terminal.out.expect("Error: the node has ended\n")
    assert terminal.wait() == 1
    assert terminal.has_echo()


def test_signal_interrupts_endless_expression(launch, daemon):
    shell = launch.start("shell", "--control", "sock")
    shell.type("import os, sys\n")
    # The expression writes to the standard error of the node.
    shell.type("exec(\"sys.stderr.write('begun\\\\n'); sys.stderr.flush()\\nwhile True: pass\")\n")
    daemon.err.expect("begun\n")
    daemon.popen.send_signal(signal.SIGINT)
    shell.err.expect("interrupted\n")
    shell.end_input()
    assert shell.wait() == 0
    assert launch.run("published", "--control", "sock").returncode == 0
