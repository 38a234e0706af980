from __future__ import annotations

import json
import stat

import pytest

from kademlua import SigningKey


@pytest.fixture
def network(launch):
    """The address of one of two nodes that know each other."""
    _, first = launch.node()
    process, _ = launch.node("--bootstrap", first)
    process.err.expect("joined")
    return first


def test_keygen(launch, failed):
    done = launch.run("keygen", "my.key")
    fingerprint = SigningKey.load(launch.home / "my.key").fingerprint
    said = f"wrote a new signing key to my.key\nits fingerprint is {fingerprint}\n"
    assert (done.returncode, done.stderr.decode()) == (0, said)
    path = launch.home / "my.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public_key = done.stdout.decode().strip()
    assert len(bytes.fromhex(public_key)) == 32
    content = path.read_bytes()
    # An existing file is not overwritten.
    assert failed(launch.run("keygen", "my.key"), 1) == "Error: my.key: File exists\n"
    assert path.read_bytes() == content
    assert launch.run("keygen", "--public", "my.key").stdout.decode().strip() == public_key
    path.chmod(0o644)
    assert "others can read it" in failed(launch.run("keygen", "--public", "my.key"), 1)
    assert "others can read it" in failed(launch.run("record", "put", "--sign", "my.key", "v"), 1)
    assert "No such file" in failed(launch.run("record", "put", "--sign", "no.key", "v"), 1)


def test_immutable_record_is_stored_and_found(launch, network, failed):
    done = launch.run("record", "put", "Hello World!", "--via", network)
    key = "e5f96f6f38320f0f33959cb4d3d656452117aadb"
    assert (done.stdout.decode(), done.stderr) == (f"{key}\n", b"stored on 2 nodes\n")
    assert launch.run("record", "get", key, "--via", network).stdout == b"Hello World!\n"
    assert launch.run("record", "get", key, "--raw", "--via", network).stdout == b"Hello World!"
    found = json.loads(launch.run("record", "get", key, "--json", "--via", network).stdout)
    assert found == {"key": key, "value": "Hello World!"}
    assert launch.run("find", "--hex", key, "--via", network).stdout == b"Hello World!\n"
    line = failed(launch.run("record", "get", "00" * 20, "--via", network), 1)
    assert line == f"Error: no record found for {'00' * 20}\n"


def test_signed_record_is_stored_and_found(launch, network, failed):
    launch.run("keygen", "my.key")
    sign = ["record", "put", "--sign", "my.key", "--salt", "portrait", "--via", network]
    public_key = launch.run(*sign, "one", "--seq", "1").stdout.decode().strip()
    get = ["record", "get", public_key, "--via", network, "--salt", "portrait"]
    assert launch.run(*get).stdout == b"one\n"
    stored = json.loads(launch.run(*sign, "-", "--expires", "1h", "--json", stdin=b"\xff\0").stdout)
    assert len(stored["acknowledged"]) == 2
    found = json.loads(launch.run(*get, "--json").stdout)
    assert found.pop("value") == {"hex": "ff00"}
    assert found.items() <= stored.items()
    assert (found["seq"], found["salt"], found["public_key"]) == (2, "portrait", public_key)
    assert launch.run(*get, "--raw").stdout == b"\xff\0"
    # Each reason for a refusal has its own error.
    assert failed(launch.run(*sign, "old", "--seq", "2"), 1) == "Error: stale record\n"
    assert "to be replaced" in failed(launch.run(*sign, "old", "--seq", "9", "--cas", "1"), 1)
    assert "no record found" in failed(launch.run("record", "get", public_key, "--via", network), 1)
    long = ["record", "put", "v", "--sign", "my.key", "--salt", "x" * 65, "--via", network]
    assert "salt over 64 bytes" in failed(launch.run(*long), 1)


def test_missing_crypto_extra_is_reported(launch, network, failed):
    # A module that cannot be imported hides the installed package.
    launch.run("keygen", "my.key")
    launch.env["PYTHONPATH"] = f"{launch.home}:{launch.env['PYTHONPATH']}"
    (launch.home / "cryptography.py").write_text("raise ImportError\n")
    for args in (
        ["keygen", "another.key"],
        ["record", "put", "--sign", "my.key", "v"],
        ["record", "get", "00" * 32, "--via", network],
    ):
        assert "pip install 'cryptography>=47'" in failed(launch.run(*args), 1)
    assert not (launch.home / "another.key").exists()
    key = launch.run("record", "put", "v", "--via", network).stdout.decode().strip()
    assert launch.run("record", "get", key, "--via", network).stdout == b"v\n"
