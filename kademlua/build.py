"""Which build of Kademlua runs, compiled or pure Python, and how to add what it lacks."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.machinery import ExtensionFileLoader

from kademlua.core.routing import table

_REQUIREMENTS = {
    "crypto": ["cryptography>=47"],
    "discover": ["zeroconf>=0.130"],
    "disk": ["lmdb>=1.6,!=2.2.0,!=2.2.1"],
    "http": ["falcon>=4.0", "h11>=0.16", "msgspec>=0.20", "prometheus-client>=0.20"],
    "plot": ["matplotlib>=3.7"],
}
"""The packages of the extras in setup.cfg, for an installation that no index has."""


def build_name() -> str:
    """Return "compiled" if the packet path was compiled (``setup.py``), else "pure"."""
    is_compiled = isinstance(getattr(table, "__loader__", None), ExtensionFileLoader)
    return "compiled" if is_compiled else "pure"


def describe_build() -> str:
    """Return the build and the interpreter, such as ``compiled, CPython 3.11.7, Linux x86_64``."""
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{build_name()}, {interpreter}, {platform.system()} {platform.machine()}"


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra for this interpreter."""
    from importlib import metadata  # takes a tenth of the start of a command

    try:
        metadata.distribution("pip")
        words = [sys.executable, "-m", "pip", "install"]
    except metadata.PackageNotFoundError:  # an environment of uv
        words = ["uv", "pip", "install", "--python", sys.executable]
    return shlex.join([*words, *_REQUIREMENTS[extra]])
