"""The house: imports point down only, the core is pure, nobody patches or keeps state."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kademlua"
FILES = sorted(PACKAGE.rglob("*.py"))

EDGES = {
    "__main__",
    "bench",
    "cli",
    "control",
    "mdns",
    "api",
    "terminal",
    "bridges",
    "http",
    "shell",
    "simulation",
    "storage",
    "swarm",
}
"""What stands on top: programs and their parts, by the first name in the package."""

PURE = {
    "__future__",
    "abc",
    "array",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "math",
    "operator",
    "re",
    "string",
    "struct",
    "types",
    "typing",
}
"""Modules of the standard library that know no time, no chance and no outer world."""

# What the core may use of the modules that it may not use as a whole.
PARTS = {
    # The type of the ``rng`` that is handed in; never the module's own generator.
    "random": {"Random"},
    # Texts of IP addresses to bytes and back: no socket is opened by them.
    "socket": {"AF_INET", "AF_INET6", "inet_ntoa", "inet_aton", "inet_ntop", "inet_pton"},
}
ONLY_IN = {"socket": "contact", "bencoder": "bencoding"}
"""Modules that one file of the core alone imports."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_text(), str(path)) for path in FILES}
CORE = sorted(name for name in TREES if name.startswith("kademlua.core"))
everywhere = pytest.mark.parametrize("module", sorted(TREES))
in_core = pytest.mark.parametrize("module", CORE)


def imports_of(module: str) -> Iterator[str]:
    """Full names of what a module imports, wherever in it; of ours the modules themselves."""
    package = module if module in PACKAGES else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{up}.{base}" if base else up
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in TREES else base


PACKAGES = {name_of(path) for path in FILES if path.name == "__init__.py"}


def floor_of(module: str) -> int:
    """0 the core, 1 what runs on gevent, 2 the edges, and the front door that shows them all."""
    if module == "kademlua":
        return 2
    first = module.split(".")[1]
    return 0 if first == "core" else 2 if first in EDGES else 1


def test_the_house_is_there():
    for module in ("core.routing.table", "core.wire.bencoding", "node.node", "rpc.server"):
        assert f"kademlua.{module}" in TREES


@everywhere
def test_imports_point_down_only(module):
    above = [
        other
        for other in imports_of(module)
        if other.split(".")[0] == "kademlua" and floor_of(other) > floor_of(module)
    ]
    assert above == []


@in_core
def test_the_core_does_not_import_the_package_itself(module):
    """``import kademlua`` brings the node, and so gevent."""
    assert "kademlua" not in set(imports_of(module))


@in_core
def test_the_core_imports_nothing_that_knows_the_world(module):
    for other in imports_of(module):
        top = other.split(".")[0]
        if top == "kademlua" or top in PURE:
            continue
        assert top in PARTS or top in ONLY_IN, f"{module} imports {other}"
        assert ONLY_IN.get(top) in (None, module.rpartition(".")[2]), f"{module} imports {other}"


@in_core
@pytest.mark.parametrize("restricted", sorted(PARTS))
def test_the_core_uses_only_the_harmless_parts_of(restricted, module):
    used = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.module == restricted:
            used |= {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            assert not any(a.name == restricted and a.asname for a in node.names), "no new names"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == restricted
        ):
            used.add(node.attr)
    assert used <= PARTS[restricted]


def test_only_one_file_imports_bencoder():
    assert [
        module for module in TREES if "bencoder" in {i.split(".")[0] for i in imports_of(module)}
    ] == ["kademlua.core.wire.bencoding"]


def test_only_the_storage_imports_lmdb():
    """A node in memory runs without it."""
    for module in TREES:
        if "lmdb" in {i.split(".")[0] for i in imports_of(module)}:
            assert module.startswith("kademlua.storage."), module


def test_only_the_discovery_imports_zeroconf():
    for module in TREES:
        if "zeroconf" in {i.split(".")[0] for i in imports_of(module)}:
            assert module == "kademlua.mdns"


def test_only_http_imports_what_it_takes():
    """A node without it runs without them."""
    for module in TREES:
        if {"falcon", "prometheus_client"} & {i.split(".")[0] for i in imports_of(module)}:
            assert module.startswith("kademlua.http."), module


def test_a_node_without_http_imports_nothing_of_it():
    code = """
import sys
import kademlua.cli.node
wanted = ("falcon", "prometheus_client", "gevent.pywsgi", "kademlua.http")
print(*[name for name in sys.modules if name.startswith(wanted)])
"""
    assert run(code) == "\n"


def test_no_circle_of_imports():
    graph = {
        module: {other for other in imports_of(module) if other in TREES and other != module}
        for module in TREES
    }
    # A package is imported by each of its modules; what it imports itself is its own matter.
    left = {module: others - PACKAGES for module, others in graph.items()}
    while left:
        free = {module for module, others in left.items() if not others & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {module: others for module, others in left.items() if module not in free}


ASKS_ABOUT_PATCHES = {"kademlua.bridges.hub_thread": {"get_original", "is_module_patched"}}
"""What it takes from ``gevent.monkey``: questions only."""


@everywhere
def test_nothing_patches_anything(module):
    asked = ASKS_ABOUT_PATCHES.get(module, set())
    for node in ast.walk(TREES[module]):
        # ``from gevent import monkey``, ``monkey.patch_all()``, ``gevent.monkey…``
        if isinstance(node, ast.Import):
            assert "gevent.monkey" not in {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module == "gevent.monkey":
            assert {alias.name for alias in node.names} <= asked
        if isinstance(node, ast.ImportFrom) and node.module == "gevent":
            assert "monkey" not in {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute):
            assert node.attr != "monkey"
            assert not node.attr.startswith("patch_")


@everywhere
def test_nothing_prints(module):
    calls = [node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    assert not [func for func in calls if isinstance(func, ast.Name) and func.id == "print"]


MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MAKERS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
CHANGERS = {
    "append",
    "add",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "setdefault",
    "sort",
    "update",
    "reverse",
}


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        func = value.func
        name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
        return name in MAKERS
    return isinstance(value, MUTABLE)


def mutable_names(body: list[ast.stmt]) -> set[str]:
    """Names to which a module's or a class's body binds a container that could change."""
    names = set()
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if targets and is_mutable(node.value):  # type: ignore[attr-defined]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names - {"__all__", "__slots__"}


@everywhere
def test_no_state_in_modules_and_classes(module):
    """Thousands of nodes share a process: containers there are constants, and nobody writes."""
    tree = TREES[module]
    names = mutable_names(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names |= mutable_names(node.body)
    assert all(name == name.upper() for name in names), f"not written as constants: {names}"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"line {node.lineno}: global"
        changed: ast.expr | None = None
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.AugAssign):
            changed = node.target
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CHANGERS
        ):
            changed = node.func.value
        name = changed.attr if isinstance(changed, ast.Attribute) else getattr(changed, "id", "")
        assert name not in names, f"line {node.lineno}: {name} is changed"  # type: ignore[attr-defined]


@everywhere
def test_no_default_argument_that_could_change(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *node.args.kw_defaults]
            assert not any(map(is_mutable, defaults)), f"line {node.lineno}"


# The same once more, as it runs.


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=PACKAGE.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_runs_without_gevent():
    """All of it is imported below a package that is empty, so that nothing else comes along."""
    code = f"""
import importlib, sys, types
package = types.ModuleType("kademlua")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["kademlua"] = package
for name in {CORE!r}:
    importlib.import_module(name)
found = {{name.split(".")[0] for name in sys.modules}}
print(*sorted(found & {{"gevent", "greenlet", "click", "asyncio", "threading"}}))
"""
    assert run(code) == "\n"


def test_the_command_line_loads_extras_only_when_asked():
    code = """
import sys, kademlua.cli.node, kademlua.cli.swarm
print(sorted({"lmdb", "zeroconf"} & set(sys.modules)))
"""
    assert run(code) == "[]\n"


def test_the_library_brings_no_edges_and_patches_nothing():
    code = f"""
import sys
import kademlua
edges = {sorted(EDGES)!r}
print(*[name for name in sys.modules if name in ("click", "asyncio") or name.split(".")[1:2] and
        name.split(".")[0] == "kademlua" and name.split(".")[1] in edges])
print(sys.modules.get("gevent.monkey") and sys.modules["gevent.monkey"].saved)
import socket, time, threading
for part in (socket.socket, time.sleep, threading.Lock):
    assert not part.__module__.startswith("gevent"), part
"""
    first, second = run(code).splitlines()
    assert first == ""
    assert second in ("None", "{}")
