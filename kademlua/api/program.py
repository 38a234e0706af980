"""Program: what an API knows about the program that runs its node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The program that runs a node."""

    data_directory: Path | None = None
    """Where it keeps the node's state; None: in memory."""
    stop: Callable[[], None] | None = None
    """Begins to stop the program; None: the program does not permit that."""


UNKNOWN_PROGRAM: Final = Program()
