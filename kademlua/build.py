"""Which build of Kademlua runs: the compiled one or pure Python."""

from __future__ import annotations

import platform
from importlib.machinery import ExtensionFileLoader

from kademlua.core.routing import table


def build_name() -> str:
    """Return "compiled" if the packet path was compiled (``setup.py``), else "pure"."""
    is_compiled = isinstance(getattr(table, "__loader__", None), ExtensionFileLoader)
    return "compiled" if is_compiled else "pure"


def describe_build() -> str:
    """Return the build and the interpreter, such as ``compiled, CPython 3.11.7, Linux x86_64``."""
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{build_name()}, {interpreter}, {platform.system()} {platform.machine()}"
