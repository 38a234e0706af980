"""``kademlua send``, ``kademlua inbox`` and ``keygen --mail-address``."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def public_key(launch):
    """The public key of the sender, in alice.key; the reader has bob.key."""
    assert launch.run("keygen", "bob.key").returncode == 0
    return launch.run("keygen", "alice.key").stdout.decode().strip()


@pytest.fixture
def bob(launch, public_key):
    """The reader's address."""
    done = launch.run("keygen", "--mail-address", "bob.key")
    assert re.fullmatch(rb"[0-9a-f]{64}\n", done.stdout)
    return done.stdout.decode().strip()


def test_mail_is_sent_and_read(launch, public_key, bob):
    _, address = launch.node()
    send = ("send", bob, "--sign", "alice.key", "--via", address)
    assert launch.run(*send, "meet me").stdout == b"stored on 1 node\n"
    report = json.loads(launch.run(*send, "-", "--json", stdin=b"at\nnoon").stdout)
    assert len(report["acknowledged"]) == 1
    inbox = ("inbox", "--sign", "bob.key", "--count", "2", "--via", address)
    lines = launch.run(*inbox).stdout.decode().splitlines()
    texts = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ", "", line) for line in lines]
    assert sorted(texts) == [f"{public_key}  at noon", f"{public_key}  meet me"]
    found = [json.loads(line) for line in launch.run(*inbox, "--json").stdout.splitlines()]
    assert sorted(each["value"] for each in found) == ["at\nnoon", "meet me"]
    assert {each["sender"] for each in found} == {public_key}


@pytest.mark.parametrize("address", ["9a3c", "x" * 64, "0" * 62 + " 0", "0" * 66])
def test_invalid_address_is_a_usage_error(launch, failed, public_key, address):
    error = failed(launch.run("send", address, "hi", "--sign", "alice.key"), 2)
    assert "a mail address has 64 hex digits" in error


def test_point_of_low_order_is_no_address(launch, failed, public_key):
    _, address = launch.node()
    done = launch.run("send", "0" * 64, "hi", "--sign", "alice.key", "--via", address)
    assert failed(done, 1) == "Error: this is not a mail address\n"


def test_key_file_is_needed(launch, failed, bob):
    assert "--sign" in failed(launch.run("send", bob, "hi"), 2)
    assert "--sign" in failed(launch.run("inbox"), 2)
    assert "none.key" in failed(launch.run("inbox", "--sign", "none.key"), 1)
    assert "none.key" in failed(launch.run("keygen", "--mail-address", "none.key"), 1)


def test_options_of_keygen_exclude_each_other(launch, failed, public_key):
    done = launch.run("keygen", "--mail-address", "--public", "alice.key")
    assert "exclude each other" in failed(done, 2)
