"""``kademlua node --http``, as a process."""

from __future__ import annotations

import json
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kademlua.build import install_command


def ask(url: str, token: str | None = None, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain"})
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as reply:
        data: bytes = reply.read()
        return data


def test_url_and_token_path_are_printed(launch):
    launch.env["XDG_RUNTIME_DIR"] = str(launch.home)
    process, address = launch.node("--http", "127.0.0.1:0")
    match = process.out.expect(r"^(http://127\.0\.0\.1:\d+)/#token=(\S+) \(token in (\S+)\)\n")
    url, token, path = match[1], match[2], Path(match[3])
    assert token == path.read_text().strip()
    port = address.rpartition(":")[2]
    assert path == launch.home / "kademlua" / f"http-token-{port}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask(f"{url}/healthz") == b"ok\n"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(f"{url}/v1/values/key", body=b"value")
    ask(f"{url}/v1/values/key", path.read_text().strip(), b"value")
    found = launch.run("find", "key", "--via", address, "--json")
    assert json.loads(found.stdout)["values"] or found.returncode == 0
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.err.read_rest()
    assert not path.exists()


def test_token_in_data_directory_survives_restart(launch):
    data = launch.home / "data"
    for _ in range(2):
        process, _ = launch.node("--http", "127.0.0.1:0", "--data", str(data))
        path = process.out.expect(r"token in (\S+)\)\n")[1]
        assert path == str(data / "http-token")
        token = Path(path).read_text()
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert Path(path).read_text() == token


def test_journal_of_systemd_has_no_token(launch):
    launch.env["JOURNAL_STREAM"] = "1:2"
    process, _ = launch.node("--http", "127.0.0.1:0")
    process.out.expect(r"^http://127\.0\.0\.1:\d+/ \(token in \S+\)\n")


def test_token_file_can_be_given(launch):
    own = launch.home / "token"
    process, _ = launch.node("--http", "127.0.0.1:0", "--http-token", str(own))
    url = process.out.expect(r"^(http://\S+)/ \(token in")[1]
    ask(f"{url}/v1/values/key", own.read_text().strip(), b"value")


@pytest.mark.parametrize(
    ("args", "status", "word"),
    [
        (["--http", "nonsense"], 2, "expected HOST:PORT"),
        (["--http-name", "x"], 2, "require --http"),
        (["--http", "192.0.2.1:8080"], 1, "can't listen on 192.0.2.1:8080"),
        (["--http", "127.0.0.1:0", "--http-token", "/proc/version"], 1, "others can read"),
    ],
)
def test_wrong_use_is_one_line(launch, failed, args, status, word):
    done = launch.run("node", "0", "--no-bootstrap", "--no-shell", *args)
    assert word in failed(done, status)


def test_missing_http_extra_is_reported(launch, failed):
    code = (
        "import sys, importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'falcon' else find(name)\n"
        "from kademlua.cli import main; main()\n"
    )
    done = launch.python(code, "node", "0", "--no-bootstrap", "--no-shell", "--http", "[::1]:0")
    assert install_command("http") in failed(done, 1)
