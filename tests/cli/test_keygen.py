"""Private networks on the command line: ``keygen --network`` and ``--network-key``."""

from __future__ import annotations

import re
import stat

import pytest

from kademlua.build import install_command
from kademlua.crypto.secret import Secret

FINGERPRINT = r"SHA256:[A-Za-z0-9+/]{43}"


@pytest.fixture
def key(launch):
    """The name of a file with a network key."""
    assert launch.run("keygen", "--network", "our.key").returncode == 0
    return "our.key"


def test_key_file_is_private(launch):
    done = launch.run("keygen", "--network")
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(
        "wrote a new network key to network.key; copy it to each node of the network\n"
        f"its fingerprint is {FINGERPRINT}\n",
        done.stdout.decode(),
    )
    path = launch.home / "network.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", text)
    assert launch.run("keygen", "--network", "other.key").returncode == 0
    assert (launch.home / "other.key").read_text() != text


def test_secret_is_written_and_its_fingerprint_shown(launch):
    done = launch.run("keygen", "--secret")
    path = launch.home / "secret.key"
    shown = (
        f"wrote a new secret to secret.key\nits fingerprint is {Secret.load(path).fingerprint}\n"
    )
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, shown, b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert launch.run("keygen", "--secret").returncode == 1  # nothing is overwritten


@pytest.mark.parametrize("kind", [(), ("--network",), ("--secret",)])
def test_fingerprint_of_a_file_is_that_of_its_making(launch, failed, kind):
    done = launch.run("keygen", *kind, "a.key")
    text = (done.stdout + done.stderr).decode()
    fingerprint = re.search(f"its fingerprint is ({FINGERPRINT})\n", text)[1]
    assert launch.run("keygen", "--fingerprint", "a.key").stdout.decode() == f"{fingerprint}\n"
    assert "exclude" in failed(launch.run("keygen", "--fingerprint", "--network", "a.key"), 2)
    (launch.home / "a.key").write_text("wrong\n")
    assert "wrong" not in failed(launch.run("keygen", "--fingerprint", "a.key"), 1)


def test_existing_key_is_not_overwritten(launch, failed, key):
    before = (launch.home / key).read_text()
    assert failed(launch.run("keygen", "--network", key), 1) == f"Error: {key}: File exists\n"
    assert (launch.home / key).read_text() == before


def test_network_key_is_no_signing_key(launch, key, failed):
    assert "exclude" in failed(launch.run("keygen", "--network", "--public", "some.key"), 2)
    assert "signing key" in failed(launch.run("keygen", "--public", key), 1)
    launch.run("keygen", "signing.key")
    assert "signing.key" in failed(launch.run("node", "0", "--network-key", "signing.key"), 2)
    assert not (launch.home / "some.key").exists()


def test_clients_with_the_key_get_replies(launch, failed, key):
    _, address = launch.node("--network-key", key)
    process, _ = launch.node("--network-key", key, "--bootstrap", address)
    process.err.expect("joined")
    via = ("--via", address, "--network-key", key)
    assert launch.run("add", "greeting", "hello", *via).stdout == b"stored on 2 nodes\n"
    assert launch.run("find", "greeting", *via).stdout == b"hello\n"
    assert launch.run("lookup", "greeting", *via).stdout.count(b"127.0.0.1") == 2
    assert launch.run("ping", address, "--network-key", key).returncode == 0


def test_clients_without_the_key_get_no_reply(launch, key):
    _, address = launch.node("--network-key", key)
    assert launch.run("keygen", "--network", "other.key").returncode == 0
    clients = [
        launch.start("ping", address),
        launch.start("find", "greeting", "--via", address, "--network-key", "other.key"),
    ]
    for client in clients:
        assert client.wait() == 1
        assert client.out.read_rest() == ""
        assert client.err.read_rest() == f"Error: no reply from {address}\n"


def test_all_keys_are_accepted_and_first_one_sends(launch, failed, key):
    launch.run("keygen", "--network", "new.key")
    _, address = launch.node("--network-key", key, "--network-key", "new.key")
    ping = ("ping", address, "--network-key")
    assert launch.run(*ping, key).returncode == 0
    # The node accepts the request, but signs its reply with the first key.
    failed(launch.run(*ping, "new.key"), 1)
    assert launch.run(*ping, "new.key", "--network-key", key).returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ("node", "0"),
        ("swarm", "1"),
        ("add", "k", "v"),
        ("find", "k"),
        ("lookup", "k"),
        ("ping", "[::1]:1"),
    ],
)
def test_invalid_key_file_is_reported(launch, failed, command):
    path = launch.home / "bad.key"
    path.write_text("my secret\n")
    path.chmod(0o600)
    error = failed(launch.run(*command, "--network-key", "bad.key"), 2)
    assert "bad.key: a network key is 64 hex digits in one line" in error
    assert "secret" not in error


def test_key_file_readable_by_others_is_refused(launch, failed, key):
    (launch.home / key).chmod(0o644)
    error = failed(launch.run("node", "0", "--network-key", key), 2)
    assert f"{key}: others can read it (mode 0644): chmod 600 {key}" in error
    error = failed(launch.run("node", "0", "--network-key", "none.key"), 2)
    assert "none.key: No such file or directory" in error


def test_too_many_keys_are_refused(launch, failed, key):
    done = launch.run("node", "0", *("--network-key", key) * 5)
    assert "5 network keys given; the maximum is 4" in failed(done, 2)


WITHOUT_CRYPTOGRAPHY = (
    "import sys; sys.modules['cryptography'] = None; from kademlua.cli import main; main()"
)


@pytest.mark.parametrize(
    "args",
    [
        ("keygen", "my.key"),
        ("node", "0", "--memory", "--network-key", "our.key"),
        ("swarm", "2", "--network-key", "our.key"),
        ("find", "greeting", "--network-key", "our.key"),
        ("ping", "127.0.0.1", "--network-key", "our.key"),
    ],
)
def test_missing_cryptography_is_one_line_with_the_command(launch, failed, key, args):
    line = failed(launch.python(WITHOUT_CRYPTOGRAPHY, *args), 1)
    assert line == f"Error: cryptography is not installed; run: {install_command('crypto')}\n"
