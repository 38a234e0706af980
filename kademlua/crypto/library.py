"""Access to the optional library ``cryptography``, which is imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kademlua.core.errors import CryptoUnavailable


def primitives(name: str) -> Any:
    """Return a module of ``cryptography.hazmat.primitives``.

    Raises:
        CryptoUnavailable: The library is not installed; the message says what to install.
    """
    try:
        return import_module(f"cryptography.hazmat.primitives.{name}")
    except ImportError:
        raise CryptoUnavailable from None


def exceptions() -> Any:
    """Return the module of the library's exceptions, once ``primitives`` has returned."""
    return import_module("cryptography.exceptions")
