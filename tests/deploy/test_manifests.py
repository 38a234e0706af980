"""What swarm/deploy hands to other programs is what those take, and what Kademlua takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from kademlua import read_network_key
from kademlua.cli import main
from kademlua.cli.node import node
from tests.support.programs import ROOT

DEPLOY = ROOT / "swarm" / "deploy"
UNIT = DEPLOY / "systemd" / "kademlua@.service"
PRIVATE = DEPLOY / "systemd" / "private.conf"
BASE = DEPLOY / "kubernetes" / "base"
COMPOSE = DEPLOY / "container" / "compose.yaml"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")


def output(*args: str) -> str:
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# What the commands in them say.


def options() -> set[str]:
    """The names in the environment of the options of ``kademlua node``."""
    command = main.get_command(click.Context(main), "node")
    assert command is not None
    return {str(each.envvar) for each in command.params if each.envvar}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_environment_variables_name_options(path: Path) -> None:
    for name in re.findall(r"KADEMLUA_NODE_\w+", path.read_text()):
        assert name in options(), name


def taken(args: list[str]) -> dict[str, Any]:
    """What ``kademlua node`` would understand by some arguments."""
    assert args[0] == "node"
    return node.make_context("node", args[1:]).params


@pytest.mark.parametrize("name", ["LOG_LEVEL", "BOOTSTRAP", "NETWORK_KEY", "ID"])
def test_environment_sets_options(name: str) -> None:
    environment = {f"KADEMLUA_NODE_{name}": "non:sense"}
    done = CliRunner().invoke(main, ["node", "0"], env=environment)
    assert done.exit_code == 2
    assert f"--{name.lower().replace('_', '-')}" in done.stderr


def test_command_of_systemd_unit_is_valid() -> None:
    command = re.search(r"^ExecStart=(\S+) (.*)$", UNIT.read_text(), re.MULTILINE)
    assert command is not None
    params = taken(command[2].replace("%i", "8001").replace("%S", "/var/lib").split())
    assert params["port"] == 8001
    assert params["data"] == Path("/var/lib/kademlua/8001")
    assert params["with_shell"] is False


def test_command_of_container_is_valid() -> None:
    command = re.search(r"^CMD (\[.*\])$", CONTAINERFILE.read_text(), re.MULTILINE)
    assert command is not None
    assert taken(yaml.safe_load(command[1]))["port"] == 8001


@pytest.mark.parametrize("name", ["first", "node"])
def test_command_of_compose_is_valid(name: str) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"][name]
    params = taken(service["command"])
    assert params["port"] == 8001
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    for host, _ in params["bootstrap"]:
        assert host in yaml.safe_load(COMPOSE.read_text())["services"]


# Kubernetes.


def documents() -> Iterator[dict[str, Any]]:
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    for name in names:
        yield from yaml.safe_load_all((BASE / name).read_text())


@pytest.mark.parametrize("document", list(documents()), ids=lambda each: str(each["kind"]))
def test_kubernetes_accepts_manifests(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.30", strict=True)


def test_kubernetes_rejects_invalid_manifest() -> None:
    document = next(each for each in documents() if each["kind"] == "StatefulSet")
    document["spec"]["replicas"] = "ten"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.30", strict=True)


def test_selectors_match_pods() -> None:
    by_kind = {each["kind"]: each for each in documents()}
    pods = by_kind["StatefulSet"]["spec"]
    labels = pods["template"]["metadata"]["labels"].items()
    assert pods["selector"]["matchLabels"].items() <= labels
    assert by_kind["Service"]["spec"]["selector"].items() <= labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert by_kind["Service"]["metadata"]["name"] == pods["serviceName"]
    container = pods["template"]["spec"]["containers"][0]
    assert taken(container["args"])["port"] == 8001
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["KADEMLUA_NODE_BOOTSTRAP"] == f"{pods['serviceName']}:8001"


@needs("kubectl")
@pytest.mark.parametrize("name", ["base", "private", "watched"])
def test_kustomize_builds_manifests(name: str, tmp_path: Path) -> None:
    tree = tmp_path / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", tree)
    (tree / "private" / "network.key").write_text("0" * 64 + "\n")
    (tree / "watched" / "http-token").write_text("0" * 44 + "\n")
    built = list(yaml.safe_load_all(output("kubectl", "kustomize", str(tree / name))))
    for document in built:
        kubernetes_validate.validate(document, "1.30", strict=True)
    (pods,) = (each for each in built if each["kind"] == "StatefulSet")
    for volume in pods["spec"]["template"]["spec"]["volumes"]:
        assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440, "a node refuses others"
    environment = pods["spec"]["template"]["spec"]["containers"][0]["env"]
    names = {each["name"] for each in environment}
    assert ("KADEMLUA_NODE_NETWORK_KEY" in names) == (name == "private")
    assert ("KADEMLUA_NODE_HTTP_TOKEN" in names) == (name == "watched")


# systemd.


@needs("systemd-analyze")
@pytest.mark.parametrize("is_private", [False, True])
def test_systemd_accepts_unit(tmp_path: Path, is_private: bool) -> None:
    unit = tmp_path / UNIT.name
    program = shutil.which("true")
    unit.write_text(UNIT.read_text().replace("/usr/bin/kademlua", str(program)))
    if is_private:
        (tmp_path / f"{UNIT.name}.d").mkdir()
        shutil.copy(PRIVATE, tmp_path / f"{UNIT.name}.d")
    assert output("systemd-analyze", "verify", str(unit)) == ""


def test_credential_is_the_network_key() -> None:
    text = PRIVATE.read_text()
    credential = re.search(r"^LoadCredentialEncrypted=(\S+):(/\S+)$", text, re.MULTILINE)
    setting = re.search(r"^Environment=(\w+)=%d/(\S+)$", text, re.MULTILINE)
    assert credential is not None
    assert setting is not None
    assert setting.groups() == ("KADEMLUA_NODE_NETWORK_KEY", credential[1])
    assert f"systemd-creds encrypt --name={credential[1]} {credential[1]} {credential[2]}\n" in text


@needs("systemd-creds")
def test_a_node_reads_its_key_from_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the manager puts it there: encrypted for this test with no key of the machine."""
    key, credential = tmp_path / "network.key", tmp_path / "network.key.cred"
    assert CliRunner().invoke(main, ["keygen", "--network", str(key)]).exit_code == 0
    encrypt = ("encrypt", "--with-key=tpm2-absent", "--name=network.key", str(key), str(credential))
    output("systemd-creds", *encrypt)
    directory = tmp_path / "credentials"
    directory.mkdir()
    decrypted = directory / "network.key"
    output("systemd-creds", "decrypt", "--name=network.key", str(credential), str(decrypted))
    decrypted.chmod(0o400)
    monkeypatch.setenv("KADEMLUA_NODE_NETWORK_KEY", str(decrypted))
    command = main.get_command(click.Context(main), "node")
    assert command is not None
    params = command.make_context("node", ["8001"]).params
    assert params["network_keys"] == (read_network_key(key),)


@needs("systemd-analyze")
def test_the_unit_is_hardened() -> None:
    said = output("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level is not None
    assert float(level[1]) <= 2.0
