"""The architecture: imports point down only, the core is pure, importing has no side effects."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.support.programs import ROOT

PACKAGE = ROOT / "kademlua"
MODULES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
CORE = [path for path in MODULES if path.is_relative_to(PACKAGE / "core")]
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_contracts_of_setup_cfg_are_kept():
    """setup.cfg lists the layers, and what the core and each package may import."""
    # In a process of its own: import-linter changes the configuration of logging.
    run("from importlinter.cli import lint_imports; assert lint_imports('setup.cfg') == 0")


def test_package_has_at_most_27_entries():
    found = [path for path in PACKAGE.iterdir() if path.suffix != ".so"]  # of bin/compile
    assert len([path for path in found if path.name != "__pycache__"]) <= 27


@each_module
def test_module_has_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_uses_only_the_type_of_random_generators(path):
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "random" or node.attr == "Random", f"line {node.lineno}"


@each_module
def test_module_has_no_global_statement_and_prints_nothing(path):
    """Thousands of nodes share a process, and standard output belongs to the program."""
    for node in ast.walk(MODULES[path]):
        assert not isinstance(node, ast.Global), f"line {node.lineno}"
        is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        assert not is_print, f"line {node.lineno}"


def test_core_runs_without_gevent():
    """Import all of the core below an empty package, so that nothing else is loaded."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in CORE
    ]
    code = f"""
import importlib, sys, types
package = types.ModuleType("kademlua")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["kademlua"] = package
for name in {names!r}:
    importlib.import_module(name)
loaded = {{name.split(".")[0] for name in sys.modules}}
print(*sorted(loaded & {{"gevent", "greenlet", "click", "asyncio", "threading"}}))
"""
    assert run(code) == ""


def test_command_line_loads_extras_only_when_needed():
    code = """
import sys, kademlua.cli.node, kademlua.cli.swarm
extras = ("falcon", "h11", "kademlua.http", "lmdb", "msgspec", "prometheus_client", "zeroconf")
print(*[name for name in sys.modules if name.startswith(extras)])
"""
    assert run(code) == ""


def test_library_loads_no_edges_and_patches_nothing():
    code = """
import sys, socket, threading, time
import kademlua
edges = ("api", "cli", "control", "http", "shell", "simulation", "storage", "swarm", "bridges")
edges = ("click", "rich", "asyncio", *(f"kademlua.{name}" for name in edges))
print(*[name for name in sys.modules if name.startswith(edges)])
assert not getattr(sys.modules.get("gevent.monkey"), "saved", None)
for part in (socket.socket, time.sleep, threading.Lock):
    assert not part.__module__.startswith("gevent"), part
"""
    assert run(code) == ""
