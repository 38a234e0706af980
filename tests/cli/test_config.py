from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import pytest

from kademlua.cli.config import Config, load_config
from kademlua.core.params import Params


def test_all_params_are_configurable(tmp_path):
    lines = []
    wanted = {}
    for spec in dataclasses.fields(Params):
        value = True if spec.type == "bool" else spec.metadata["high"]
        wanted[spec.name] = value
        lines.append(f"{spec.name} = {str(value).lower()}")
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines))
    assert load_config(path).params == Params(**wanted)


def test_times_are_seconds_or_durations(tmp_path):
    path = tmp_path / "times.toml"
    path.write_text('ttl = "1h"\nmax_ttl = "30d"\nmin_rto = "5ms"\n')
    assert load_config(path).params == Params(ttl=3600, max_ttl=2_592_000, min_rto=0.005)


def test_network_keys_are_files_beside_the_configuration(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text('network_key = "a.key"\n')
    assert load_config(path) == Config(network_key_files=(tmp_path / "a.key",))
    path.write_text('network_key = ["a.key", "/etc/b.key"]\n')
    assert load_config(path).network_key_files == (tmp_path / "a.key", Path("/etc/b.key"))


def test_node_uses_the_network_key_of_its_configuration(launch, failed):
    (launch.home / "etc").mkdir()
    for name in ("etc/our.key", "new.key"):
        launch.run("keygen", "--network", name)
    (launch.home / "etc/node.toml").write_text('network_key = "our.key"\n')
    _, address = launch.node("--config", "etc/node.toml")
    assert launch.run("ping", address, "--network-key", "etc/our.key").returncode == 0
    assert "no reply" in failed(launch.run("ping", address), 1)
    # The option takes precedence.
    _, address = launch.node("--config", "etc/node.toml", "--network-key", "new.key")
    assert launch.run("ping", address, "--network-key", "new.key").returncode == 0
    (launch.home / "etc/our.key").chmod(0o640)
    done = launch.run("node", "0", "--config", "etc/node.toml")
    assert "others can read it (mode 0640): chmod 600 etc/our.key" in failed(done, 2)


def test_empty_file_changes_nothing(tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text("# nothing\n")
    assert load_config(path).params == Params()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"colour = 3", ["colour", "no such parameter"]),
        (b"[params]\nk = 3", ["params"]),
        (b"ttl = '1 hour'", ["ttl:", "1h"]),
        (b"ttl = '99999d'", ["ttl:", "0 to 366d"]),
        (b"k = 'x'", ["k:", "a whole number", "'x'"]),
        (b"k = 2.5", ["k:", "a whole number", "2.5"]),
        (b"k = true", ["k:", "a whole number"]),
        (b"ttl = [1]", ["ttl:", "a number"]),
        (b"ttl = nan", ["ttl:", "nan"]),
        (b"ttl = 2020-01-01", ["ttl:", "a number"]),
        (b"overwrite_drops_others = 1", ["overwrite_drops_others:", "true or false"]),
        (b"k = 65", ["k:", "1 to 64", "65"]),
        (b"k = 0", ["k:", "1 to 64"]),
        (b"k = 1" + b"0" * 200, ["k:", "1 to 64"]),
        (b"bootstrap_retry = 99\nbootstrap_retry_max = 9", ["bootstrap_retry_max"]),
        (b"network_key = 3", ["network_key:", "name of a file"]),
        (b"network_key = ['a', 3]", ["network_key:", "name of a file"]),
        (b"k 3", ["TOML", "line 1"]),
        (b"k = 3\nk = 4", ["TOML"]),
        (b"\xff = 1", ["TOML", "UTF-8"]),
        (b"k = " + b"[" * 5000, ["TOML"]),
    ],
)
def test_config_error_names_file_and_key(tmp_path, content, words):
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(click.BadParameter) as caught:
        load_config(path)
    assert caught.value.exit_code == 2
    for word in ["my.toml", *words]:
        assert word in str(caught.value)


def test_missing_config_file_is_reported(tmp_path):
    with pytest.raises(click.BadParameter, match="No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(click.BadParameter, match="directory"):
        load_config(tmp_path)


def test_node_uses_config_file(launch, tmp_path, failed):
    path = tmp_path / "good.toml"
    path.write_text("k = 7\nttl = 60")
    process = launch.start("node", "0", "--no-bootstrap", "--shell", "--config", str(path))
    process.type("node.params.k, node.params.ttl\n")
    process.out.expect(r"^\(7, 60\)$")
    path.write_text("k = 99")
    line = failed(launch.run("node", "0", "--config", str(path)), 2)
    assert "good.toml: k: must be 1 to 64, not 99" in line
