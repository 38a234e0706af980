"""The compiled build and the pure one: which runs, and that both do the same."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import platform
import runpy
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import kademlua
from kademlua.build import build_name, describe_build, install_command
from kademlua.core.wire import packets

ROOT = Path(kademlua.__file__).parent.parent
SETUP = ROOT / "setup.py"


def test_build_is_that_of_the_modules() -> None:
    is_source = str(packets.__file__).endswith(".py")
    assert build_name() == ("pure" if is_source else "compiled")
    assert describe_build().startswith(f"{build_name()}, CPython {platform.python_version()}, ")


def test_stats_name_the_build(world) -> None:
    assert world.alice.stats()["build"] == build_name()


def test_each_module_that_is_not_compiled_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setuptools.setup", lambda **arguments: None)
    monkeypatch.chdir(ROOT)
    names = runpy.run_path(str(SETUP))
    paths = names["compiled_paths"]()
    assert "kademlua/core/wire/packets.py" in paths
    for name, reason in names["NOT_COMPILED"].items():
        assert reason
        assert (ROOT / "kademlua" / name).is_file()
        assert f"kademlua/{name}" not in paths


def test_no_interpreted_class_inherits_from_a_compiled_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("setuptools.setup", lambda **arguments: None)
    monkeypatch.chdir(ROOT)
    paths = runpy.run_path(str(SETUP))["compiled_paths"]()
    compiled = {path.removesuffix(".py").replace("/", ".") for path in paths}
    names = [each.name for each in pkgutil.walk_packages(kademlua.__path__, "kademlua.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    for module in modules:
        if module.__name__ not in compiled:
            for item in vars(module).values():
                if inspect.isclass(item) and item.__module__ == module.__name__:
                    assert not [base for base in item.__bases__ if base.__module__ in compiled]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_builds_send_the_same_packets(tmp_path: Path) -> None:
    pure, compiled = copy_sources(tmp_path / "pure"), copy_sources(tmp_path / "compiled")
    settings = {"KADEMLUA_COMPILE": "1", "KADEMLUA_OPTIMIZE": "0"}
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "-j2"],
        cwd=compiled,
        env=os.environ | settings,
        check=True,
        capture_output=True,
    )
    assert simulate(pure) == ("pure", simulate(compiled)[1])
    assert simulate(compiled)[0] == "compiled"


def copy_sources(into: Path) -> Path:
    """Copy what a build needs, without compiled modules; return the copy."""
    into.mkdir()
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, into)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "kademlua", into / "kademlua", ignore=ignored)
    return into


def simulate(root: Path) -> tuple[str, str]:
    """Return the build at root, and the fingerprint of all packets of a scenario there."""
    program = "from kademlua.build import build_name; print(build_name())"
    command = [
        "simulate",
        "lossy-20",
        "--nodes",
        "60",
        "--for",
        "10m",
        "--seed",
        "3",
        "--json",
        "-",
    ]
    outputs = [
        subprocess.run(
            [sys.executable, "-P", *arguments],
            env=os.environ | {"PYTHONPATH": str(root)},
            check=False,  # so short a run may miss a requirement
            capture_output=True,
            text=True,
        ).stdout
        for arguments in (["-c", program], ["-m", "kademlua", *command])
    ]
    return outputs[0].strip(), json.loads(outputs[1])["fingerprint"]


@pytest.mark.parametrize("extra", ["crypto", "discover", "disk", "http", "plot"])
def test_install_command_names_the_packages_of_setup_cfg(extra: str) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options.extras_require"][extra].split("\n")
    words = shlex.split(install_command(extra))
    assert words[words.index("install") + 1 :] == [each for each in lines if each]
    assert words[0] == sys.executable
