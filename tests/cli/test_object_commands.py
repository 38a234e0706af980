"""``kademlua object``: files of any size."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from tests.cli.conftest import Launcher

CONTENT = random.Random(5).randbytes(100_000)
Failed = Callable[[CompletedProcess[bytes], int], str]


@pytest.fixture
def network(launch: Launcher) -> str:
    """The address of one of two nodes that know each other."""
    _, first = launch.node()
    process, _ = launch.node("--bootstrap", first)
    process.err.expect("joined")
    return first


def put(launch: Launcher, network: str, *args: str, stdin: bytes = b"") -> str:
    """Store an object, and return the key that is printed."""
    done = launch.run("object", "put", *args, "--via", network, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def test_file_is_stored_and_read(launch: Launcher, network: str, failed: Failed) -> None:
    (launch.home / "content").write_bytes(CONTENT)
    done = launch.run("object", "put", "content", "--via", network)
    key = done.stdout.decode().strip()
    assert len(key) == 40
    assert done.stderr == b"100,000 bytes, 8 blocks stored on at least 2 nodes each\n"
    assert put(launch, network, "-", stdin=CONTENT) == key
    assert launch.run("object", "get", key, "--via", network).stdout == CONTENT
    done = launch.run("object", "get", key, "-o", "copy", "--via", network)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (launch.home / "copy").read_bytes() == CONTENT
    assert not (launch.home / "copy.part").exists()
    line = failed(launch.run("object", "get", "00" * 20, "--via", network), 1)
    assert line == f"Error: no node has an object {'00' * 20}\n"


def test_pipe_is_written_and_not_replaced(launch: Launcher, network: str) -> None:
    key = put(launch, network, "-", stdin=CONTENT)
    pipe = launch.home / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reading.start()
    done = launch.run("object", "get", key, "-o", "pipe", "--via", network)
    assert (done.returncode, done.stderr) == (0, b"")
    assert pipe.is_fifo()
    reading.join(10)
    assert read == [CONTENT]


def test_interrupted_get_goes_on(launch: Launcher, network: str) -> None:
    key = put(launch, network, "-", stdin=CONTENT)
    partial = launch.home / "copy.part"
    partial.write_bytes(CONTENT[:20_000] + b"damaged" + CONTENT[20_007:50_000])
    assert launch.run("object", "get", key, "-o", "copy", "--via", network).returncode == 0
    assert (launch.home / "copy").read_bytes() == CONTENT
    assert not partial.exists()
    # A longer file of another object does not matter.
    partial.write_bytes(bytes(200_000))
    assert launch.run("object", "get", key, "-o", "copy", "--via", network).returncode == 0
    assert (launch.home / "copy").read_bytes() == CONTENT


def test_put_resumes(launch: Launcher, network: str) -> None:
    put(launch, network, "-", stdin=CONTENT)
    more = CONTENT + b"more"
    done = launch.run("object", "put", "-", "--resume", "--json", "--via", network, stdin=more)
    report = json.loads(done.stdout)
    assert (report["size"], report["blocks"], report["found_blocks"]) == (100_004, 2, 6)
    assert report["fewest_replicas"] == 2
    assert (report["refusals"], report["timed_out"]) == ({}, 0)


def test_name(launch: Launcher, network: str, failed: Failed) -> None:
    launch.run("keygen", "my.key")
    sign = ["--sign", "my.key", "--salt", "blog"]
    public_key = put(launch, network, "-", *sign, stdin=b"first")
    get = ["object", "get", public_key, "--via", network]
    assert launch.run(*get, "--salt", "blog").stdout == b"first"
    assert put(launch, network, "-", *sign, stdin=b"second") == public_key
    assert launch.run(*get, "--salt", "blog").stdout == b"second"
    assert "no node has an object" in failed(launch.run(*get), 1)
    launch.run("record", "put", "--sign", "my.key", "a text", "--via", network)
    assert "does not point to an object" in failed(launch.run(*get), 1)


def test_progress_on_a_terminal(launch: Launcher, network: str) -> None:
    (launch.home / "content").write_bytes(CONTENT)
    terminal = launch.terminal("object", "put", "content", "--via", network)
    assert terminal.wait() == 0
    assert "storing" in terminal.out.text
    assert "100%" in terminal.out.text


def test_published_object(launch: Launcher, network: str, failed: Failed) -> None:
    (launch.home / "content").write_bytes(CONTENT)
    launch.node("--bootstrap", network, "--data", "data")
    at = ["--data", "data"]
    key = launch.run("object", "publish", "content", "--ttl", "2h", *at).stdout.decode().strip()
    assert launch.run("object", "get", key, "--via", network).stdout == CONTENT
    shown = launch.run("object", "published", *at).stdout.decode()
    assert shown.split() == [key, "2h", "100,000", "bytes"]
    row = json.loads(launch.run("object", "published", "--json", *at).stdout)
    assert row == {"key": key, "size": 100_000, "ttl": 7_200}
    done = launch.run("object", "unpublish", key, *at)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert "does not publish" in failed(launch.run("object", "unpublish", key, *at), 1)
    line = failed(launch.run("object", "publish", "none", *at), 1)
    assert line == "Error: none: No such file or directory\n"
    assert "is a directory" in failed(launch.run("object", "publish", "data", *at), 2)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["get", "xyz"], "the key of an object has 40 hex digits"),
        (["get", "00" * 20, "--salt", "x"], "--salt requires a public key"),
        (["put", "-", "--salt", "x"], "add --sign KEYFILE"),
        (["put", "/"], "is a directory"),
    ],
)
def test_wrong_usage(launch: Launcher, failed: Failed, args: list[str], error: str) -> None:
    assert error in failed(launch.run("object", *args), 2)


def test_failures(launch: Launcher, network: str, failed: Failed) -> None:
    line = failed(launch.run("object", "put", "none", "--via", network), 1)
    assert line == "Error: none: No such file or directory\n"
    small = ["object", "put", "-", "--block-bytes", "5", "--via", network]
    assert "a block has 512 to" in failed(launch.run(*small), 1)
    key = put(launch, network, "-", stdin=CONTENT)
    line = failed(launch.run("object", "get", key, "-o", "none/copy", "--via", network), 1)
    assert "No such file or directory" in line


def test_file_with_a_secret_is_read_with_it_only(
    launch: Launcher, network: str, failed: Failed
) -> None:
    for name in ("family.key", "other.key"):
        assert launch.run("keygen", "--secret", name).returncode == 0
    key = put(launch, network, "-", "--secret", "family.key", stdin=CONTENT)
    done = launch.run("object", "get", key, "--secret", "family.key", "--via", network)
    assert done.stdout == CONTENT
    again = launch.run(
        "object", "put", "--resume", "-", "--secret", "family.key", "--via", network, stdin=CONTENT
    )
    assert again.stderr == b"100,000 bytes, 0 blocks stored, 8 found\n"
    for options, reason in (
        (("--secret", "other.key"), "a record of the object was not made with this secret"),
        ((), "the record is no object, or one with a secret"),
    ):
        line = failed(launch.run("object", "get", key, *options, "--via", network), 1)
        assert line == f"Error: {reason}\n"
