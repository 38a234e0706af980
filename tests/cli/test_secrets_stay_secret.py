"""A secret is in no list of processes, log, statistics, reply or file of the node."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from kademlua import Secret, sha1
from kademlua.crypto.key_derivation import Purpose

DATA = ".local/share/kademlua/8001"
MINE = ("--secret", "mine.key")
TEXT, VALUE = "where the treasure is", b"under the old oak"
KEY = sha1(TEXT)


def forms(data: bytes) -> Iterator[bytes]:
    """The forms in which bytes may be shown."""
    yield data
    yield data.hex().encode()
    yield base64.b64encode(data)[:-4]  # without the end, which depends on what follows
    yield repr(data)[2:-1].encode()


class Hidden:
    """What must not be seen."""

    def __init__(self, secret: bytes) -> None:
        self._named = {"secret": secret, "text": TEXT.encode(), "key": KEY, "value": VALUE}
        self._named |= {
            purpose.name: Secret(secret).derive(purpose, 32)
            for purpose in (Purpose.SECRET_KEYS, Purpose.SECRET_VALUES, Purpose.SECRET_OBJECTS)
        }

    def found_in(self, shown: bytes, *, typed: bool = False) -> list[str]:
        """The names of what is shown; ``typed``: the user typed the text, which others may see."""
        found = [
            name for name, each in self._named.items() if any(form in shown for form in forms(each))
        ]
        return [name for name in found if name != "text"] if typed else found


def processes() -> bytes:
    """The arguments and environments of all processes, as ``ps`` shows them."""
    found = []
    for name in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                found.append(path.read_bytes())
            except OSError:  # it has ended, or is another user's
                continue
    return b"\n".join(found)


class HttpUser:
    """Sends the secret over HTTP."""

    def __init__(self, address: str, token: str, digits: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
        self._secret = {"Kademlua-Secret": digits}

    def request(self, method: str, path: str, status: int, **more: str) -> bytes:
        headers = self._headers | self._secret | more
        self._connection.request(method, path, VALUE if method == "POST" else None, headers)
        response = self._connection.getresponse()
        reply = response.read()
        assert response.status == status, reply
        return reply

    def get_plain(self, path: str) -> bytes:
        self._connection.request("GET", path)
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()


@pytest.mark.timeout(120)
def test_secret_key_and_value_appear_nowhere(launch):
    for extra in ("cryptography", "lmdb", "falcon"):
        pytest.importorskip(extra, reason="of an extra")
    launch.run("keygen", "--secret", "mine.key")
    digits = (launch.home / "mine.key").read_text().split()[1]
    hidden = Hidden(bytes.fromhex(digits))
    log_options = ("--log-level", "packets", "--log-file", "log")
    process, address = launch.node("--data", DATA, "--http", "127.0.0.1:0", *log_options)
    url = process.out.expect(r"http://(\S+)/#token=(\S+)")

    for command in ("set", "publish"):
        assert launch.run(command, TEXT, "-", *MINE, stdin=VALUE).returncode == 0
    assert launch.run("find", TEXT, *MINE).stdout == VALUE + b"\n"
    watch = launch.start("watch", TEXT, *MINE, "--via", address)
    watch.out.expect(VALUE.decode())
    assert b"mine.key" in processes()
    assert hidden.found_in(processes(), typed=True) == []

    user = HttpUser(url[1], url[2], digits)
    put = launch.run("object", "put", "-", *MINE, "--via", address, stdin=VALUE)
    object_key = put.stdout.decode().strip()
    got = launch.run("object", "get", object_key, *MINE, "--via", address)
    assert got.stdout == VALUE
    assert object_key in user.request("POST", "/v1/objects?publish=true", 200).decode()
    assert user.request("GET", f"/v1/objects/{object_key}", 200) == VALUE

    path = f"/v1/values/{KEY.hex()}?hex=true"
    user.request("POST", path, 200)
    assert VALUE in user.request("GET", path, 200)
    shown = [
        user.request("GET", "/v1/lookup/x", 400),
        user.request("GET", "/v1/values/x", 403, Via="1.1 proxy"),
        user.request("GET", "/v1/values/x", 400, **{"Kademlua-Secret": f"{digits}0"}),
    ]
    state = ("stats", "health", "node", "contacts", "stored", "published", "objects")
    shown += [user.get_plain(each) for each in ("/metrics", *(f"/v1/{name}" for name in state))]
    user.close()
    for words in (["status"], ["stored"], ["published"], ["top", "--count", "1"]):
        done = launch.run(*words, "--json")
        assert done.returncode == 0
        shown.append(done.stdout)
    assert hidden.found_in(b"\n".join(shown)) == []

    process.popen.terminate()
    process.wait()
    log = (launch.home / "log").read_bytes()
    assert b" DEBUG " in log
    assert hidden.found_in(log) == []
    assert hidden.found_in((process.out.text + process.out.read_rest()).encode()) == []
    for path in (launch.home / DATA).iterdir():
        if path.is_file():
            assert hidden.found_in(path.read_bytes()) == [], path.name
