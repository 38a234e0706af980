"""The clock of a node: seconds that include the time asleep.

``time.monotonic`` stands still while the machine is suspended. A node that measured by it would
serve values after their TTL and publish too late. On Linux, ``CLOCK_BOOTTIME`` counts that time; on
macOS, ``CLOCK_MONOTONIC`` does, which is not what ``time.monotonic`` reads there. Other systems
have no such clock: their nodes notice a suspend neither here nor by the wall clock, since a wall
clock that jumps may just as well have been set.

The timers of gevent use the clock that stands still, so they may fire late by the time asleep.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")


def _clock_with_sleep() -> Callable[[], float]:
    # A partial costs 8 ns more than time.monotonic; a function of our own would cost 25 ns.
    if sys.platform == "darwin":
        return partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic


boot_clock: Callable[[], float] = _clock_with_sleep()
"""Return the seconds since the machine was started, with the time asleep where the system counts
it."""


def read_boot_id() -> bytes:
    """Return what tells this boot of the machine from others; empty if the system does not say.

    Two readings of ``boot_clock`` can be compared only within one boot.
    """
    try:
        return bytes.fromhex(_BOOT_ID_PATH.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks of a machine."""

    clock: Callable[[], float] = boot_clock
    """The node's clock."""
    wall_clock: Callable[[], float] = time.time
    """Seconds since 1970. It may be wrong, and may be set at any time."""
    boot_id: bytes = field(default_factory=read_boot_id)
    """What tells this boot from others, at most 16 bytes; empty if unknown."""


PAUSE_LATENESS: Final = 10.0
"""Seconds after which a timer is so late that the node was paused: the machine slept, or the
process was stopped. A busy event loop is late by milliseconds. The senders of requests that waited
so long have given up, and a value that is stored so late would outlive its TTL by as much."""
