from __future__ import annotations

import json
import os
import re
import signal

import pytest

from kademlua.core.ids import sha1


@pytest.fixture
def network(launch):
    """The address of one of three nodes that know each other."""
    _, first = launch.node()
    for _ in range(2):
        process, _ = launch.node("--bootstrap", first)
        process.err.expect("joined")
    return first


def test_add_and_find(launch, network):
    done = launch.run("add", "key", "the value", "--via", network)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"stored on 3 nodes\n", b"")
    done = launch.run("find", "key", "--via", network)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"the value\n", b"")
    done = launch.run("find", "--hex", sha1("key").hex(), "--via", network)
    assert done.stdout == b"the value\n"


def test_lookup_trace_is_drawn_as_tree(launch, network):
    done = launch.run("lookup", "key", "--trace", "--via", network)
    assert (done.returncode, done.stderr) == (0, b"")
    heading, *lines = done.stdout.decode().splitlines()
    assert heading.startswith(f"lookup of {sha1('key').hex()[:10]} by 127.0.0.1:")
    assert len(lines) == 3
    assert sorted(line[-2:] for line in lines) == ["#1", "#2", "#3"]


def test_find_shows_distinct_values_of_all_owners(launch, network):
    for value in ("one", "two", "one"):
        launch.become(f"owner of {value}")
        assert launch.run("add", "key", value, "--via", network).returncode == 0
    done = launch.run("find", "key", "--all", "--via", network)
    assert sorted(done.stdout.split()) == [b"one", b"two"]
    done = launch.run("find", "key", "--answers", "1", "--via", network, "--json")
    assert len(json.loads(done.stdout)["answers"]) == 1


def test_find_accepts_limits(launch, network):
    for number in range(3):
        launch.become(f"owner {number}")
        assert launch.run("add", "key", f"{number}" * 900, "--via", network).returncode == 0
    lines = {
        limit: len(launch.run("find", "key", "--via", network, *limit).stdout.splitlines())
        for limit in ((), ("--max-bytes", "5000"), ("--timeout", "50s"))
    }
    assert lines == {(): 3, ("--max-bytes", "5000"): 1, ("--timeout", "50s"): 3}


def test_value_expires_at_its_ttl(launch, network, failed):
    assert launch.run("add", "key", "v", "--ttl", "1h", "--via", network).returncode == 0
    done = launch.run("add", "key", "v", "--ttl", "0", "--via", network)
    assert "a TTL is 1s to 30d" in failed(done, 1)
    done = launch.run("add", "key", "v", "--ttl", "long", "--via", network)
    assert b"must be seconds" in done.stderr


def test_non_utf8_bytes_are_shown_as_hex(launch, network):
    content = bytes(range(256))
    done = launch.run("add", "raw", "-", "--via", network, stdin=content)
    assert done.returncode == 0
    assert launch.run("find", "raw", "--via", network).stdout == b"0x%b\n" % content.hex().encode()
    assert launch.run("find", "raw", "--raw", "--via", network).stdout == content
    found = json.loads(launch.run("find", "raw", "--json", "--via", network).stdout)
    assert found["values"] == [{"hex": content.hex()}]


def test_non_utf8_arguments_are_accepted(launch, network):
    args = [b"\xff\xfe", b"\xf0value"]
    assert launch.run("add", *map(os.fsdecode, args), "--via", network).returncode == 0
    done = launch.run("find", os.fsdecode(args[0]), "--raw", "--via", network)
    assert done.stdout == args[1]


def test_raw_requires_exactly_one_value(launch, network, failed):
    for value in ("one", "two"):
        launch.become(f"owner of {value}")
        launch.run("add", "key", value, "--via", network)
    assert "2 values" in failed(launch.run("find", "key", "--raw", "--via", network), 1)


def test_json(launch, network):
    key = sha1("key").hex()
    stored = json.loads(launch.run("add", "key", "v", "--via", network, "--json").stdout)
    assert stored["key"] == key
    assert len(stored["acknowledged"]) == 3
    assert stored["refused"] == stored["timed_out"] == []
    found = json.loads(launch.run("find", "key", "--via", network, "--json").stdout)
    assert (found["key"], found["values"]) == (key, ["v"])
    assert [each["values"] for each in found["answers"]] == [["v"]] * 3
    looked = json.loads(launch.run("lookup", "key", "--via", network, "--json").stdout)
    assert looked["contacts"] == sorted(
        stored["acknowledged"], key=lambda each: distance(key, each["id"])
    )


def distance(a: str, b: str) -> int:
    return int(a, 16) ^ int(b, 16)


def test_lookup_shows_the_closest_first(launch, network):
    lines = launch.run("lookup", "key", "--via", network).stdout.decode().splitlines()
    found = [re.fullmatch(r"([0-9a-f]{40})  127\.0\.0\.1:\d+", line)[1] for line in lines]
    assert len(found) == 3
    assert found == sorted(found, key=lambda each: distance(sha1("key").hex(), each))


def test_ping(launch, network):
    done = launch.run("ping", network)
    assert re.fullmatch(
        rf"[0-9a-f]{{40}}  {re.escape(network)}  \d+\.\d ms\n", done.stdout.decode()
    )
    pong = json.loads(launch.run("ping", network, "--json").stdout)
    assert f"{pong['address']}:{pong['port']}" == network
    assert pong["rtt_seconds"] >= 0


def test_host_may_be_a_name(launch, network):
    named = network.replace("127.0.0.1", "localhost")
    assert launch.run("ping", named).returncode == 0
    assert launch.run("add", "key", "v", "--via", named).returncode == 0


def test_client_is_in_no_routing_table(launch):
    process = launch.start("node", "0", "--no-bootstrap", "--shell")
    address = process.out.expect(r"listening on (\S+)\n")[1]
    for user in ("one", "two", "three"):
        launch.become(user)
        assert launch.run("add", "key", "v", "--via", address).returncode == 0
    process.type("len(node.table), len(node.datastore)\n")
    process.out.expect(r"^\(0, 3\)$")


def test_unanswered_address_is_reported(launch):
    process, address = launch.node()
    process.popen.kill()
    process.wait()
    commands = [
        ["ping"],
        ["add", "k", "v", "--via"],
        ["find", "k", "--via"],
        ["lookup", "k", "--via"],
    ]
    clients = [launch.start(*command, address) for command in commands]
    terminal = launch.terminal("ping", address)
    for client in clients:
        assert client.wait() == 1
        assert client.out.read_rest() == ""
        assert client.err.read_rest() == f"Error: no reply from {address}\n"
    # On a terminal, progress is shown after a second.
    terminal.out.expect(f"\\Aasking {re.escape(address)} …")
    terminal.out.expect(f"\\r\x1b\\[KError: no reply from {re.escape(address)}\n")
    assert terminal.wait() == 1


@pytest.mark.parametrize("command", [["ping"], ["lookup", "k", "--via"]])
def test_unresolvable_name_is_reported(launch, failed, command):
    assert "no.such.invalid" in failed(launch.run(*command, "no.such.invalid:8001"), 1)


def test_missing_value_is_reported(launch, network, failed):
    line = failed(launch.run("find", "missing", "--via", network), 1)
    assert line == "Error: no value found for missing\n"
    assert "missing" in failed(launch.run("find", "missing", "--via", network, "--json"), 1)


def test_too_large_value_is_refused(launch, network, failed):
    done = launch.run("add", "key", "-", "--via", network, stdin=b"x" * 20_000)
    assert "15,000 bytes" in failed(done, 1)


def test_closed_output_pipe_is_no_error(launch, network):
    with launch.start("lookup", "k", "--via", network).popen as popen:
        popen.stdout.close()
        assert popen.stderr.read() == b""
        popen.wait()


def test_interrupting_a_client_is_quiet(launch):
    process, address = launch.node()
    process.popen.kill()
    process.wait()
    terminal = launch.terminal("find", "k", "--via", address)
    terminal.out.expect(f"asking {re.escape(address)}")  # shown after a second of silence
    terminal.type("\x03")
    assert terminal.wait() == -signal.SIGINT
    assert "Traceback" not in terminal.out.text
