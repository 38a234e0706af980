"""``--secret FILE``: values that only holders of a secret can find and read, as processes."""

from __future__ import annotations

import json
import os

import pytest

from kademlua import Secret, sha1

HOME_OF_NODE = ".local/share/kademlua/8001"
MINE = ("--secret", "mine.key")


@pytest.fixture(autouse=True)
def secret(launch):
    """The secret in mine.key; other.key has another one."""
    pytest.importorskip("cryptography", reason="of the extra crypto")
    secret = Secret.generate()
    secret.save(launch.home / "mine.key")
    Secret.generate().save(launch.home / "other.key")
    return secret


@pytest.fixture(params=["client", "running node"])
def through(launch, request):
    """The options that select a client, or none for the user's running node."""
    if request.param == "client":
        return ("--via", launch.node()[1])
    pytest.importorskip("lmdb", reason="of the extra disk")
    launch.node("--data", HOME_OF_NODE)
    return ()


def test_value_is_found_with_the_secret_and_not_without(launch, through, secret):
    done = launch.run("add", "treasure", "under the oak", *MINE, *through)
    assert (done.returncode, done.stdout) == (0, b"stored on 1 node\n")
    for command in ("find", "get"):
        assert launch.run(command, "treasure", *MINE, *through).stdout == b"under the oak\n"
        assert launch.run(command, "treasure", *through).returncode == 1
        done = launch.run(command, "treasure", "--secret", "other.key", *through)
        assert (done.returncode, done.stdout) == (1, b"")
    blinded = secret.blind_key(sha1("treasure")).hex()
    assert b"under" not in launch.run("find", "--hex", blinded, *through).stdout


def test_value_is_replaced_and_removed(launch, through):
    launch.run("set", "treasure", "first", *MINE, *through)
    launch.run("set", "treasure", "-", *MINE, *through, stdin=b"second")
    assert launch.run("find", "treasure", *MINE, *through).stdout == b"second\n"
    assert launch.run("delete", "treasure", *through).returncode == 1
    assert launch.run("delete", "treasure", *MINE, *through).stdout == b"removed on 1 node\n"
    assert launch.run("remove", "treasure", *MINE, *through).returncode == 1
    assert launch.run("find", "treasure", *MINE, *through).returncode == 1


def test_json_has_the_key_and_values_of_the_user(launch, through):
    key = sha1("treasure").hex()
    report = json.loads(launch.run("add", "treasure", "7", "--json", *MINE, *through).stdout)
    assert report["key"] == key
    found = json.loads(launch.run("find", "treasure", "--json", *MINE, *through).stdout)
    assert (found["key"], found["values"]) == (key, ["7"])
    assert [each["values"] for each in found["answers"]] == [["7"]]


def test_values_of_others_are_counted_and_not_shown(launch, through, secret):
    blinded = secret.blind_key(sha1("treasure")).hex()
    launch.run("add", "--hex", blinded, "forged", *through)
    for command in ("find", "get"):
        done = launch.run(command, "treasure", *MINE, *through)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"1 value ignored: not made with this secret\n" in done.stderr


def test_many_keys_at_a_time(launch, through):
    rows = b"one\t1\ntwo\t2\n"
    done = launch.run("add", "--from", "-", *MINE, *through, stdin=rows)
    assert done.stdout == b"stored 2 values\n"
    done = launch.run("find", "--from", "-", *MINE, *through, stdin=b"one\ntwo\n")
    assert sorted(done.stdout.splitlines()) == [b"one: 1", b"two: 2"]
    done = launch.run("find", "--from", "-", *through, stdin=b"one\ntwo\n")
    assert (done.returncode, done.stdout) == (1, b"")


def test_running_node_publishes_without_the_secret(launch):
    pytest.importorskip("lmdb", reason="of the extra disk")
    launch.node("--data", HOME_OF_NODE)
    assert launch.run("publish", "treasure", "here", *MINE).stdout == b"published on 1 node\n"
    shown = launch.run("published").stdout
    assert b"treasure" not in shown
    assert b"here" not in shown
    assert launch.run("find", "treasure", *MINE).stdout == b"here\n"
    assert launch.run("unpublish", "treasure").returncode == 1
    assert launch.run("unpublish", "treasure", *MINE).returncode == 0
    assert launch.run("published").stdout == b""


def test_watch_shows_values_of_the_secret(launch, secret):
    _, address = launch.node()
    via = ("--via", address)
    launch.run("add", "--hex", secret.blind_key(sha1("treasure")).hex(), "forged", *via)
    launch.run("set", "treasure", "first", *MINE, *via)
    done = launch.run("watch", "treasure", "--count", "1", "--json", *MINE, *via)
    change = json.loads(done.stdout)
    assert (change["key"], change["value"]) == (sha1("treasure").hex(), "first")


def test_records_are_read_with_the_secret_only(launch):
    via = ("--via", launch.node()[1])
    public_key = launch.run("keygen", "signing.key").stdout.decode().strip()
    key = launch.run("record", "put", "oak", *MINE, *via).stdout.decode().strip()
    launch.run("record", "put", "elm", "--sign", "signing.key", *MINE, *via)
    for name, value in ((key, b"oak\n"), (public_key, b"elm\n")):
        assert launch.run("record", "get", name, *MINE, *via).stdout == value
        assert value.strip() not in launch.run("record", "get", name, *via).stdout
        done = launch.run("record", "get", name, "--secret", "other.key", *via)
        assert (done.returncode, done.stdout) == (1, b"")


def test_file_that_others_can_read_is_refused(launch, failed):
    os.chmod(launch.home / "mine.key", 0o644)
    error = failed(launch.run("find", "treasure", *MINE), 2)
    assert "mine.key: others can read it (mode 0644): chmod 600 mine.key" in error
    assert "none.key" in failed(launch.run("find", "treasure", "--secret", "none.key"), 2)


def test_file_of_another_kind_is_refused(launch, failed):
    launch.run("keygen", "signing.key")
    error = failed(launch.run("add", "treasure", "v", "--secret", "signing.key"), 2)
    assert "signing.key: not the file of a secret" in error


def test_too_large_a_value_states_the_limit(launch, through):
    done = launch.run("add", "k", "-", *MINE, *through, stdin=b"x" * 14_900)
    assert done.returncode == 1
    assert b"Error: a secret value has at most 14," in done.stderr
