"""The programs of docs/examples, run as their users run them."""

import http.client
import importlib.util
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from kademlua import SigningKey
from tests.support.peers import wait_until
from tests.support.programs import ROOT, bootstrap_process, environment

EXAMPLES = ROOT / "docs/examples"
PATIENCE = 20.0
"""Seconds; only a failing test waits for this time."""


@contextmanager
def started(*command: object, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A program in the background; killed if it does not end by itself."""
    with subprocess.Popen(
        [sys.executable, "-u", *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | more,
        cwd=EXAMPLES,
    ) as process:
        try:
            yield process
            process.wait(PATIENCE)
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    return next_line(process.stdout)


def next_line(stream: IO[str] | None) -> str:
    """The next line; past the stream's own buffer, into which ``select`` does not see."""
    assert stream is not None
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([stream], [], [], PATIENCE)[0], f"nothing comes after {line!r}"
        char = os.read(stream.fileno(), 1)
        assert char, f"it ended after {line!r}"
        line += char
    return line.decode()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for its end; return the exit code and standard error."""
    assert process.stderr is not None
    return process.wait(PATIENCE), process.stderr.read()


def finished(*command: object) -> str:
    """The output of a program that succeeds."""
    with started(*command) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    return out


@pytest.fixture
def bootstrap() -> Iterator[str]:
    """The address of a node in another process."""
    with bootstrap_process() as port:
        yield f"127.0.0.1:{port}"


class TestChat:
    def test_two_users_exchange_lines(self, bootstrap: str) -> None:
        at = ["garden", "--bootstrap", bootstrap]
        with started("chat.py", "alice", *at) as alice, started("chat.py", "bob", *at) as bob:
            assert alice.stdin is not None
            assert bob.stdin is not None
            for process in (alice, bob):
                assert line_of(process) == "You are in the garden; ^D leaves.\n"
            print("hello", file=alice.stdin, flush=True)
            assert line_of(bob) == "alice: hello\n"
            print("who is there?", "\x1b[2Jbob", sep="\n", file=bob.stdin, flush=True)
            assert line_of(alice) == "bob: who is there?\n"
            assert line_of(alice) == "bob: [2Jbob\n"
            alice.stdin.close()
            bob.stdin.close()
            assert ended(alice) == ended(bob) == (0, "")

    def test_chat_without_input_ends(self, bootstrap: str) -> None:
        done = subprocess.run(
            [sys.executable, EXAMPLES / "chat.py", "alice", "garden", "--bootstrap", bootstrap],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_ctrl_c_ends_the_chat(self, bootstrap: str) -> None:
        with started("chat.py", "alice", "garden", "--bootstrap", bootstrap) as alice:
            assert "^D" in line_of(alice)
            alice.send_signal(signal.SIGINT)
            assert ended(alice) == (130, "")

    def test_malformed_values_are_skipped(self) -> None:
        chat = loaded("chat")
        for value in (1, b"x", [], {}, {b"name": 1, b"lines": []}, {b"name": b"x", b"lines": b"y"}):
            assert list(chat.lines_of(value)) == []
        lines = [1, [], [b"x", 1], [1, b"good"], [2, 3]]
        assert list(chat.lines_of({b"name": b"x", b"lines": lines})) == [(1, "x", "good")]


class TestLiveConfig:
    def test_worker_follows_the_configuration(self, bootstrap: str, tmp_path: Path) -> None:
        key, path = SigningKey.generate(), tmp_path / "config.key"
        key.save(path)
        command = ["live_config.py", "--bootstrap", bootstrap]
        setting = [*command, "set", "--sign", str(path)]
        assert "stored on" in finished(*setting, '{"workers": 4}')
        with started(*command, "follow", key.public_key.hex()) as worker:
            assert line_of(worker) == 'working with {"workers": 4}\n'
            finished(*setting, '{"workers": 8}')
            assert line_of(worker) == 'working with {"workers": 8}\n'
            worker.send_signal(signal.SIGINT)
            assert ended(worker) == (0, "")


class TestRegistry:
    def test_service_is_found_while_announced(self, bootstrap: str) -> None:
        command = ["registry.py", "--bootstrap", bootstrap, "--ttl", "3"]
        with started(*command, "announce", "web", "192.0.2.1:80") as first:
            with started(*command, "announce", "web", "192.0.2.2:80") as second:
                for process in (first, second):
                    assert "stored on" in line_of(process)
                assert finished(*command, "find", "web") == "192.0.2.1:80\n192.0.2.2:80\n"
                assert finished(*command, "find", "mail") == ""
                second.send_signal(signal.SIGINT)
                assert ended(second) == (0, "")
            # The second one withdraws; the first one is killed, and its address expires.
            assert finished(*command, "find", "web") == "192.0.2.1:80\n"
            first.kill()
        wait_until(lambda: finished(*command, "find", "web") == "", PATIENCE)

    def test_malformed_values_are_skipped(self) -> None:
        registry = loaded("registry")
        for value in (1, {}, [], b"\x1b[2J"):
            assert registry.address_in(value) is None
        assert registry.address_in(b"a:1") == "a:1"


class TestSharedFolder:
    def test_folder_is_fetched_and_follows_changes(self, bootstrap: str, tmp_path: Path) -> None:
        folder, copy = tmp_path / "folder", tmp_path / "copy"
        (folder / "sub").mkdir(parents=True)
        (folder / "a").write_bytes(bytes(range(256)) * 200)
        (folder / "sub/b").write_text("first")
        (folder / ".hidden").write_text("private")
        signer = SigningKey.generate()
        signer.save(str(tmp_path / "my.key"))
        command = ["shared_folder.py", "--bootstrap", bootstrap, "--poll", "0.1"]
        fetch = [*command, "fetch", signer.public_key.hex(), copy]
        with started(*command, "share", folder, tmp_path / "my.key") as sharing:
            shared = f"shared as {signer.public_key.hex()}\n"
            assert line_of(sharing) == shared
            assert finished(*fetch) == "a\nsub/b\n"
            assert (copy / "a").read_bytes() == (folder / "a").read_bytes()
            assert finished(*fetch) == ""  # nothing has changed
            (folder / "sub/b").write_text("second")
            assert line_of(sharing) == shared
            assert finished(*fetch) == "sub/b\n"
            assert (copy / "sub/b").read_text() == "second"
            assert not (copy / ".hidden").exists()
            sharing.send_signal(signal.SIGINT)
            assert ended(sharing) == (0, "")

    def test_paths_stay_in_the_folder(self) -> None:
        shared_folder = loaded("shared_folder")
        assert shared_folder.is_safe("a/b")
        for name in ("", "/etc/passwd", "../x", "a/../../x", ".x", "a/.x"):
            assert not shared_folder.is_safe(name)

    def test_unknown_folder(self, bootstrap: str, tmp_path: Path) -> None:
        with started(
            "shared_folder.py", "--bootstrap", bootstrap, "fetch", "00" * 32, tmp_path
        ) as fetching:
            code, error = ended(fetching)
        assert (code, error) == (1, f"no node has an object {'00' * 32}\n")


class TestWebCache:
    """Under gunicorn, with each kind of its workers."""

    @pytest.fixture(autouse=True)
    def _gunicorn(self) -> None:
        pytest.importorskip("gunicorn", reason="gunicorn is of the extra 'test'")

    @pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
    def test_workers_share_the_cache_across_restarts(self, kind: str, bootstrap: str) -> None:
        path = "/largest-prime-below/100000"
        with served(kind, bootstrap) as port:
            _, cache, computed = get(port, path)
            assert cache == "miss"
            assert computed.startswith("99991, says worker")
            # Which worker is asked is the system's choice.
            answers = [get(port, path)]
            wait_until(
                lambda: answers.append(get(port, path)) or len(workers(answers)) == 2, PATIENCE
            )
            assert {(cache, body) for _, cache, body in answers} == {("hit", computed)}
            first, second = workers(answers)
            os.kill(int(first), signal.SIGKILL)
            os.kill(int(second), signal.SIGKILL)
            answers = [get(port, path)]
            assert answers[0][0] not in (first, second)
            assert answers[0][1:] == ("hit", computed)


def workers(answers: list[tuple[str, str, str]]) -> set[str]:
    return {worker for worker, _, _ in answers}


@contextmanager
def served(kind: str, bootstrap: str) -> Iterator[int]:
    """The port at which two workers of a kind serve; they have to end in good order."""
    options = ["--workers", 2, "--worker-class", kind, "--bind", "127.0.0.1:0", "--threads", 2]
    with started("-m", "gunicorn", *options, "web_cache:app", CACHE_BOOTSTRAP=bootstrap) as server:
        assert server.stderr is not None
        said = ""
        while not (at := re.search(r"Listening at: http://127.0.0.1:(\d+)", said)):
            said = next_line(server.stderr)
        yield int(at[1])
        server.terminate()
        said = server.stderr.read()
        assert "Traceback" not in said, said
    assert server.returncode == 0, said


def get(port: int, path: str) -> tuple[str, str, str]:
    """Which worker answered, whether from the cache, and what."""
    end = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        except (ConnectionError, http.client.HTTPException):  # its worker was killed
            assert time.monotonic() < end
            continue
        finally:
            connection.close()
        assert answer.status == 200
        return answer.headers["X-Worker"], answer.headers["X-Cache"], body


def loaded(name: str) -> object:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def test_page_shows_each_example() -> None:
    page = (ROOT / "docs/hosts.md").read_text()
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(
        re.findall(r"\(examples/(\w+\.py)\)", page)
    )
