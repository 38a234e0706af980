"""The data directory of a node: what survives a restart, and locking."""

from __future__ import annotations

import json
import os
import random
import re
import signal

import pytest

from kademlua.build import install_command
from tests.cli.conftest import free_port

pytest.importorskip("lmdb", reason="of the extra disk")


def ended(process):
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    return process.err.read_rest()


def id_of(process):
    return re.search(r"node ([0-9a-f]{40})", process.out.text)[1]


def test_id_and_values_survive_restart(launch):
    process, address = launch.node("--data", "data")
    assert launch.run("add", "k", "v", "--via", address).stdout == b"stored on 1 node\n"
    assert "Traceback" not in ended(process)
    again, address = launch.node("--data", "data")
    assert id_of(again) == id_of(process)
    assert launch.run("find", "k", "--via", address).stdout == b"v\n"
    given = "ab" * 20
    ended(again)
    other, address = launch.node("--data", "data", "--id", given)
    assert id_of(other) == given
    ended(other)
    assert id_of(launch.node("--data", "data")[0]) == given


def test_node_rejoins_through_saved_contacts(launch):
    first, address = launch.node()
    _, other_address = launch.node("--bootstrap", address)
    mine, _ = launch.node("--bootstrap", address, "--data", "data")
    mine.err.expect("joined, 2 contacts")
    ended(mine)
    ended(first)
    mine, mine_address = launch.node("--bootstrap", address, "--data", "data")
    mine.err.expect("joined, ")
    done = launch.run("lookup", "x", "--via", mine_address, "--json")
    assert len(json.loads(done.stdout)["contacts"]) == 2
    assert launch.run("ping", other_address).returncode == 0


def test_home_that_cannot_be_written_leads_to_data_and_memory(launch, failed):
    (launch.home / "file").write_text("")
    launch.env["HOME"] = str(launch.home / "file")
    port = str(free_port())
    line = failed(launch.run("node", port, "--no-bootstrap", "--no-shell"), 1)
    assert "Not a directory; choose another directory with --data DIR, or save nothing" in line
    _, address = launch.node("--memory")
    line = failed(launch.run("set", "key", "value", "--via", address), 1)
    assert f"start a node, or: make {launch.home}/file/.local/share/kademlua writable" in line
    done = launch.run("add", "key", "value", "--via", address)
    assert (done.returncode, done.stdout) == (0, b"stored on 1 node\n")


def test_first_node_starts_alone_when_all_contacts_ended(launch):
    mine, address = launch.node("--data", "data")
    other, _ = launch.node("--bootstrap", address)
    mine.err.expect("joined|listening|") and other.err.expect("joined")
    assert launch.run("add", "k", "v", "--via", address).stdout == b"stored on 2 nodes\n"
    ended(mine)
    ended(other)
    mine, address = launch.node("--data", "data")
    log = mine.err.expect("(?s)(.*?)joined, 0 contacts")[1]
    assert "no node answers" not in log
    assert launch.run("find", "k", "--via", address).stdout == b"v\n"


def test_data_directory_is_locked_by_one_process(launch, failed):
    process, _ = launch.node("--data", "data")
    line = failed(launch.run("node", "0", "--no-shell", "--data", "data"), 1)
    assert line == f"Error: data is in use by process {process.popen.pid}\n"
    assert (
        launch.run("published", "--data", "data").returncode == 0
    )  # through the socket of the first node


def test_export_fails_if_running_node_has_no_socket(launch, failed):
    process, _ = launch.node("--data", "data", "--control", "elsewhere")
    line = failed(launch.run("export", "-", "--data", "data"), 1)
    assert line == f"Error: data is in use by process {process.popen.pid}\n"


def test_unusable_directory_is_reported(launch, failed, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file/data" in failed(launch.run("node", "0", "--data", "file/data"), 1)
    assert "exclude each other" in failed(launch.run("node", "0", "--data", "d", "--memory"), 2)


@pytest.mark.parametrize("name", ["values.lmdb", "node.lmdb"])
@pytest.mark.parametrize("content", ["cut", "scribbled"])
def test_damaged_file_is_moved_and_other_data_kept(launch, tmp_path, name, content):
    process, address = launch.node("--data", "data")
    launch.run("add", "k", "v", "--via", address)
    ended(process)
    path = tmp_path / "data" / name
    if content == "cut":
        os.truncate(path, path.stat().st_size - 4096)
        content = path.read_bytes()
    if content == "scribbled":  # except the two pages that identify an LMDB file
        whole = path.read_bytes()
        content = whole[:8192] + random.Random(1).randbytes(len(whole) - 8192)
    path.write_bytes(content)
    again, address = launch.node("--data", "data")
    again.err.expect(rf"WARNING .*{name} is damaged .* moved to {name}\.damaged-1")
    assert (tmp_path / "data" / f"{name}.damaged-1").read_bytes() == content
    assert id_of(again) == id_of(process)
    found = launch.run("find", "k", "--via", address)
    assert found.stdout == (b"v\n" if name == "node.lmdb" else b"")


def test_default_directory_is_named_by_port(launch, tmp_path):
    _, address = launch.node()  # on any free port, the node saves nothing
    port = address.rpartition(":")[2]
    args = ("node", port, "--no-bootstrap", "--no-shell", "--host", "127.0.0.2")
    for more, is_kept in ((("--memory",), False), ((), True)):
        process = launch.start(*args, *more)
        process.out.expect("listening")
        ended(process)
        assert (tmp_path / f".local/share/kademlua/{port}/node.lmdb").exists() == is_kept
    launch.env["XDG_DATA_HOME"] = str(tmp_path / "xdg")
    process = launch.start(*args)
    process.out.expect("listening")
    assert (tmp_path / f"xdg/kademlua/{port}/node.lmdb").exists()


def test_export_and_import(launch, tmp_path, failed):
    process, address = launch.node("--data", "one")
    for key in ("k", "l"):
        launch.run("add", key, "v" + key, "--via", address)
    ended(process)
    done = launch.run("export", "values.jsonl", "--data", "one")
    assert done.stderr == b"2 values exported\n"
    lines = (tmp_path / "values.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"format": "kademlua values", "version": 2}
    assert json.loads(lines[-1])["values"] == 2
    done = launch.run("import", "values.jsonl", "--data", "two")
    assert (done.returncode, done.stderr) == (0, b"2 values imported\n")
    _, address = launch.node("--data", "two")
    assert launch.run("find", "l", "--via", address).stdout == b"vl\n"

    (tmp_path / "small.toml").write_text("max_entries = 1\n")
    done = launch.run("import", "values.jsonl", "--data", "three", "--config", "small.toml")
    assert done.returncode == 1
    assert done.stderr == b"1 values imported\nError: refused: 1 \xc3\x97 no room for more values\n"
    assert "no data at none" in failed(launch.run("export", "-", "--data", "none"), 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "it is empty, and not an export; nothing was imported"),
        ("hello\n", 'it is not a file of "kademlua export"; nothing was imported'),
        ('{"format": "kademlua values", "version": 3}\n', "version 3, this Kademlua reads up to 2"),
        ('{"format": "kademlua values", "version": 1}\n{"key": 3}\n', "line 2 is not a line"),
    ],
)
def test_import_of_invalid_file_is_reported(launch, failed, text, complaint):
    done = launch.run("import", "-", "--data", "data", stdin=text.encode())
    line = failed(done, 1)
    assert line.startswith("Error: <stdin>: ")
    assert complaint in line
    assert line.endswith("; nothing was imported\n")


@pytest.mark.parametrize(("is_running", "source"), [(True, "values.jsonl"), (False, "-")])
def test_damaged_export_is_reported_and_not_imported(launch, tmp_path, failed, is_running, source):
    process, address = launch.node("--data", "one")
    for key in ("k", "l", "m"):
        launch.run("add", key, "v" + key, "--via", address)
    if not is_running:
        ended(process)
    path = tmp_path / "values.jsonl"
    launch.run("export", path.name, "--data", "one")
    if is_running:
        launch.node("--data", "two")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = {
        b"".join(lines[:-1]): "it is cut off after line 4: the last line is missing",
        whole[:-20]: "line 5 is not a line of an export",
        whole[: len(whole) // 2]: "line 3 is not a line of an export",
        b"".join(lines[:2] + lines[3:]): "1 of 3 values are missing",
        b"".join([*lines[:2], *lines[1:]]): "lines were changed or added",
        whole.replace(b'"port": ', b'"port": 1', 1): "",
        whole + lines[1]: "line 6 follows the end of the export",
        b"\xff\xfe\0" * 99: 'it is not a file of "kademlua export"; nothing was imported',
        b"": "it is empty, and not an export",
    }
    for content, complaint in damaged.items():
        path.write_bytes(content)
        line = failed(launch.run("import", source, "--data", "two", stdin=content), 1)
        assert complaint in line
        assert line.endswith("; nothing was imported\n")
    path.write_bytes(whole)
    done = launch.run("import", path.name, "--data", "two")
    assert (done.returncode, done.stderr) == (0, b"3 values imported\n")


def test_failed_export_leaves_the_former_file(launch, tmp_path, failed):
    (tmp_path / "values.jsonl").write_text("former\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "values.lmdb").mkdir()
    failed(launch.run("export", "values.jsonl", "--data", "data"), 1)
    assert (tmp_path / "values.jsonl").read_text() == "former\n"
    (tmp_path / "data" / "values.lmdb").rmdir()
    line = failed(launch.run("export", "missing/values.jsonl", "--data", "data"), 1)
    assert line == "Error: missing/values.jsonl: No such file or directory\n"
    assert sorted(path.name for path in tmp_path.glob("*values*")) == ["values.jsonl"]


WITHOUT_PASSWD = """if True:
    import pwd

    def getpwuid(uid):
        raise KeyError(uid)

    pwd.getpwuid = getpwuid
    from kademlua.cli import main
    main()
"""
WITHOUT_LMDB = "import sys; sys.modules['lmdb'] = None; from kademlua.cli import main; main()"


@pytest.mark.parametrize(
    "args",
    [
        ("node", "0", "--data", "data"),
        ("swarm", "2", "--data", "data"),
        ("export", "-", "--data", "."),
        ("import", "-", "--data", "data"),
        ("import", "-"),
    ],
)
def test_data_without_lmdb_is_one_line(launch, failed, args):
    line = failed(launch.python(WITHOUT_LMDB, *args), 1)
    assert line == (f"Error: lmdb is not installed; run: {install_command('disk')}\n")


def test_node_without_lmdb_stays_in_memory_and_warns(launch, tmp_path):
    _, address = launch.node()
    port = address.rpartition(":")[2]
    done = launch.python(WITHOUT_LMDB, "node", port, "--no-bootstrap")
    warning, error = done.stderr.decode().splitlines()
    assert "WARNING" in warning
    assert "this node saves no data because lmdb is not installed" in warning
    assert "in use" in error  # the node got as far as binding its port
    assert not (tmp_path / ".local").exists()


def test_node_without_home_directory_stays_in_memory_and_warns(launch):
    del launch.env["HOME"]
    node = ("node", str(free_port()), "--no-bootstrap", "--shell")
    done = launch.python(WITHOUT_PASSWD, *node, stdin=b"exit\n")
    assert done.returncode == 0
    assert b"this node saves no data because the user has no home directory" in done.stderr
    assert list(launch.home.iterdir()) == []


def test_command_without_home_directory_is_one_line(launch, failed):
    del launch.env["HOME"]
    line = failed(launch.python(WITHOUT_PASSWD, "stored"), 1)
    assert line == "Error: the user has no home directory; use --data\n"


def test_publications_survive_restart(launch):
    _, other = launch.node()
    args = ("node", "0", "--shell", "--data", "data", "--bootstrap", other)
    process = launch.start(*args)
    process.type('publish(sha1("k"), "v", ttl=3600)\n')
    process.out.expect(r"timed_out=\[\]")
    ended(process)
    again = launch.start(*args)
    again.type("published()\n")
    again.out.expect(r"\[Publication\(.*b'1:v', ttl=3600, seq=\d+\)\]")
    assert "Traceback" not in ended(again)


def start_private(launch, port, *names):
    keys = [word for name in names for word in ("--network-key", name)]
    process = launch.start("node", port, "--no-bootstrap", "--no-shell", *keys)
    process.out.expect("listening")
    path = process.err.expect(r"data in (.*)\n")[1]
    return process, path


def test_private_network_has_its_own_directory(launch):
    for name in ("one.key", "two.key"):
        assert launch.run("keygen", "--network", name).returncode == 0
    port = str(free_port())
    paths = {}
    for names in ((), ("one.key",), ("two.key",)):
        process, paths[names] = start_private(launch, port, *names)
        assert launch.run("published", "--port", port).returncode == 0
        ended(process)
    base = launch.home / ".local/share/kademlua"
    assert paths[()] == str(base / port)
    assert len(set(paths.values())) == 3
    assert all(path.startswith(str(base / port)) for path in paths.values())


def test_exchange_of_network_keys_keeps_the_data(launch):
    for name in ("old.key", "new.key"):
        assert launch.run("keygen", "--network", name).returncode == 0
    port = str(free_port())
    ids = set()
    for names in (("old.key",), ("old.key", "new.key"), ("new.key", "old.key"), ("new.key",)):
        process, _ = start_private(launch, port, *names)
        ids.add(id_of(process))
        ended(process)
    assert len(ids) == 1


def test_node_without_data_says_so(launch):
    process, _ = launch.node()
    process.err.expect("data in memory only\n")
