"""Compile the path of a packet, on UDP and in the simulation, with mypyc if KADEMLUA_COMPILE is 1.

All metadata is in setup.cfg. setuptools runs this file once for each step of a build; only the
steps that build extensions compile.
"""

import os
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from setuptools import setup

COMPILED = (
    "core",
    "crypto/datagram_cipher.py",
    "liveliness",
    "lookup",
    "node/receiver.py",
    "replication",
    "rpc",
    "runtime",
    "simulation/clock/event_queue.py",
    "simulation/clock/timers.py",
    "simulation/network/latency.py",
    "simulation/network/links.py",
    "simulation/network/network.py",
    "simulation/network/traffic_tap.py",
    "values",
)
"""Packages and modules of kademlua that are compiled, into one library: there, calls from one
module to another are direct."""
NOT_COMPILED = {
    "core/errors.py": "mypyc compiles no subclasses of exceptions",
    "core/lookup/find_budget.py": "a limit of the wrong type must raise ValueError",
    "core/objects/errors.py": "mypyc compiles no subclasses of exceptions",
    "core/objects/report.py": "has only data",
    "core/params.py": "a parameter of the wrong type must raise ParamsError",
    "core/reasons.py": "has only enumerations",
    "core/results.py": "has only data",
    "replication/handover.py": "works once, and a killed greenlet returns an exception",
    "runtime/lookup_events.py": "its class is inherited from",
    "runtime/observers.py": "programs inherit from Observer",
    "runtime/safe_logger.py": "a log record names the frame of the caller",
    "values/bulk/parallel.py": "a killed greenlet ends its generator",
    "values/publisher.py": "works once in hours",
}
"""Modules of these packages that stay interpreted, and why."""
EXTENSION_STEPS = {"bdist_wheel", "build_ext", "editable_wheel"}


def compiled_paths() -> list[str]:
    """Return the paths of the modules to compile."""
    root = Path("kademlua")
    found: list[Path] = []
    for tree in (root / name for name in COMPILED):
        found += [tree] if tree.is_file() else sorted(tree.rglob("*.py"))
    excluded = {root / name for name in NOT_COMPILED}
    return [str(path) for path in found if path.name != "__init__.py" and path not in excluded]


def extra_arguments() -> dict[str, Any]:
    """Return the arguments of ``setup`` that setup.cfg cannot have."""
    if os.environ.get("KADEMLUA_COMPILE") != "1":
        return {}
    if not EXTENSION_STEPS & set(sys.argv):
        config = ConfigParser()
        config.read("setup.cfg")
        # pip installs these for the later steps.
        return {"setup_requires": config["options.extras_require"]["compile"].split()}
    from mypyc.build import mypycify

    extensions = mypycify(
        ["--ignore-missing-imports", *compiled_paths()],  # those of other extras
        group_name="kademlua.compiled",
        target_dir="build/mypyc",
        opt_level=os.environ.get("KADEMLUA_OPTIMIZE", "3"),
        debug_level="0",
    )
    for extension in extensions:
        # gcc takes a minute for this warning, since all modules are one file of 400,000 lines.
        extension.extra_compile_args = [
            *extension.extra_compile_args,  # a list that all extensions share
            "-Wno-misleading-indentation",
        ]
    return {"ext_modules": extensions}


setup(**extra_arguments())
