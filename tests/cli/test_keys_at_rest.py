"""Keys stay in their files: they appear in no command line, log, statistic or error."""

from __future__ import annotations

import base64
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kademlua import Params, SigningKey, read_network_key
from kademlua.crypto.fingerprint import secret_fingerprint
from kademlua.crypto.key_files import KeyKind, read_key
from tests.cli.conftest import Launcher

PASSPHRASE = "correct horse battery"
OPTIONS = ("--network-key", "network.key")


def forms(secret: bytes) -> Iterator[str]:
    """The texts as which a secret could appear."""
    yield secret.hex()
    yield secret.hex().upper()
    yield base64.b64encode(secret).decode().rstrip("=")
    yield base64.urlsafe_b64encode(secret).decode().rstrip("=")
    yield repr(secret)[2:-1]
    yield secret.decode("latin-1")
    yield secret.decode(errors="backslashreplace")


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1")


def ask(url: str, path: str, token: str) -> str:
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        text: str = reply.read().decode("latin-1")
        return text


@pytest.fixture
def keys(launch: Launcher) -> dict[str, bytes]:
    """The keys in network.key, our.key and secret.key; a passphrase protects the former two."""
    (launch.home / "passphrase").write_text(PASSPHRASE)
    (launch.home / "passphrase").chmod(0o600)
    launch.env["KADEMLUA_PASSPHRASE_FILE"] = "passphrase"
    shown = b""
    for arguments in (
        ("--network", "--passphrase", "network.key"),
        ("--passphrase", "our.key"),
        ("--secret", "secret.key"),
    ):
        done = launch.run("keygen", *arguments)
        assert done.returncode == 0, done.stderr
        shown += done.stdout + done.stderr
    kinds = {
        "network": (KeyKind.NETWORK, "network.key"),
        "signing": (KeyKind.SIGNING, "our.key"),
        "secret": (KeyKind.SECRET, "secret.key"),
    }
    found = {
        name: read_key(launch.home / file, kind, PASSPHRASE) for name, (kind, file) in kinds.items()
    }
    assert not {form for key in found.values() for form in forms(key)} & set(
        shown.decode("latin-1").split()
    )
    return found | {"passphrase": PASSPHRASE.encode()}


def node_key(data: Path) -> bytes:
    """The signing key of a node that has ended."""
    pytest.importorskip("lmdb", reason="of the extra disk")
    from kademlua.storage.node_state import NodeState

    with closing(NodeState(data, Params())) as state:
        assert state.identity is not None
        return state.identity.secret


def client_key(launch: Launcher) -> bytes:
    """The key of the user's clients."""
    (path,) = launch.home.rglob("identity.key")
    return SigningKey.load(path).secret


def test_keys_are_shown_nowhere(launch: Launcher, keys: dict[str, bytes]) -> None:
    pytest.importorskip("falcon", reason="of the extra http")
    http = ("--http", "127.0.0.1:0", "--http-token", "token")
    logs = ("--log-level", "packets", "--log-file", "log")
    process, address = launch.node(*OPTIONS, *http, *logs, "--data", "data")
    url = process.out.expect(r"(http://127\.0\.0\.1:\d+)/")[1]
    via = ("--via", address, *OPTIONS)
    reader = launch.start("inbox", "--sign", "our.key", *via)
    mail_address = launch.run("keygen", "--mail-address", "our.key").stdout.decode().strip()
    seen = {"node": command_line(process.popen.pid), "client": command_line(reader.popen.pid)}
    for args in (
        ("record", "put", "--sign", "our.key", "value", *via),
        ("send", "--sign", "our.key", mail_address, "value", *via),
        ("add", "greeting", "hello", *via),
        ("status", "--json", "--data", "data"),
        ("peers", "--json", "--data", "data"),
        ("stored", "--json", "--data", "data"),
    ):
        done = launch.run(*args)
        assert done.returncode == 0, done.stderr
        seen[args[0]] = (done.stdout + done.stderr).decode("latin-1")
    done = launch.run("shell", "--data", "data", stdin=b"stats()\nnode\nnode.services\n")
    seen["shell"] = (done.stdout + done.stderr).decode("latin-1")
    assert "packets_in" in seen["shell"]
    token = (launch.home / "token").read_text().strip()
    for path in ("/metrics", "/v1/node", "/v1/health", "/v1/stats"):
        seen[path] = ask(url, path, token)
    reader.out.expect("value")
    process.popen.terminate()
    assert process.wait() == 0
    process.out.read_rest()
    process.err.read_rest()
    seen["output"] = process.out.text + process.err.text
    seen["log"] = (launch.home / "log").read_text()
    assert "private network; key fingerprint SHA256:" in seen["log"]
    keys |= {"node": node_key(launch.home / "data"), "client": client_key(launch)}
    for name, key in (keys | {"token": token.encode()}).items():
        for form in forms(key):
            where = [each for each, text in seen.items() if form in text]
            assert not where, f"the {name} key is in {where}"


@pytest.mark.parametrize("command", [("node", "0"), ("find", "greeting")])
def test_error_shows_nothing_of_a_key(
    launch: Launcher,
    failed: Callable[[subprocess.CompletedProcess[bytes], int], str],
    command: tuple[str, ...],
) -> None:
    (launch.home / "bad.key").write_text("5" * 63 + "x\n")
    (launch.home / "bad.key").chmod(0o600)
    assert "555" not in failed(launch.run(*command, "--network-key", "bad.key"), 2)


def test_key_in_the_place_of_a_file_is_not_repeated(
    launch: Launcher, failed: Callable[[subprocess.CompletedProcess[bytes], int], str]
) -> None:
    launch.env["KADEMLUA_NODE_NETWORK_KEY"] = key = "5a" * 32
    errors = [failed(launch.run("node", "0"), 2)]
    del launch.env["KADEMLUA_NODE_NETWORK_KEY"]
    (launch.home / "k.toml").write_text(f'network_key = "{key}"\n')
    for *command, status in (
        ("node", "0", "--config", "k.toml", 2),
        ("find", "greeting", "--secret", f"secret {key}", 2),
        ("record", "put", "--sign", f"signing-key {key}", "value", 1),
        ("keygen", "--fingerprint", key, 1),
    ):
        errors.append(failed(launch.run(*command), status))
    for error in errors:
        assert "name a file with a key, not the key itself" in error
        assert "5a5a" not in error


def test_node_shows_the_fingerprints_of_its_network_keys(launch: Launcher) -> None:
    for name in ("new.key", "old.key"):
        launch.run("keygen", "--network", name)
    process, _ = launch.node("--network-key", "new.key", "--network-key", "old.key")
    new, old = (
        secret_fingerprint(read_network_key(launch.home / name)) for name in ("new.key", "old.key")
    )
    line = process.err.expect(r"private network; key fingerprint (.*)\n")[1]
    assert line == f"{new}, {old}"
