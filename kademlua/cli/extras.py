"""Packages that a plain installation lacks."""

from __future__ import annotations

import importlib.util

import click

from kademlua.build import install_command


def is_installed(package: str) -> bool:
    """Return whether a package is installed."""
    return importlib.util.find_spec(package) is not None


def install_hint(package: str, extra: str) -> str:
    """Return what to do about a missing package of an extra."""
    return f"{package} is not installed; run: {install_command(extra)}"


def require_package(package: str, extra: str) -> None:
    """Check that a package of an extra is installed.

    Raises:
        click.ClickException: it is not.
    """
    if not is_installed(package):
        raise click.ClickException(install_hint(package, extra))
