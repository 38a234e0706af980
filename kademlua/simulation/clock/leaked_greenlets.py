"""Finds, describes and kills the greenlets of a hub that have not ended."""

from __future__ import annotations

import gc
import linecache
import logging
import os
from collections import Counter
from collections.abc import Iterable
from traceback import walk_stack, walk_tb
from types import FrameType

import gevent
import greenlet
from gevent.hub import Hub

logger = logging.getLogger(__name__)

# Code objects of gevent's compiled modules name files below src/gevent/.
_LIBRARY_PREFIXES = (os.path.dirname(gevent.__file__), os.path.dirname(__file__), "src/gevent")
_MAX_LOCATIONS = 20
_KILL_TIMEOUT = 1.0
"""Virtual seconds that killed greenlets have to clean up."""


def describe(hub: Hub, error: BaseException) -> str:
    """Return a line per place where greenlets wait; ``error`` ended the main greenlet."""
    frames = reversed(list(walk_tb(error.__traceback__)))
    lines = [f"  the main function: {_innermost_location(frames)}", *locations(hub)]
    if len(lines) > _MAX_LOCATIONS:
        lines[_MAX_LOCATIONS:] = [f"  greenlets at {len(lines) - _MAX_LOCATIONS} more places"]
    return "\n".join(lines)


def locations(hub: Hub) -> list[str]:
    """Return a line per place where greenlets wait, most greenlets first."""
    found: Counter[str] = Counter()
    for each in _live_greenlets(hub):
        function = getattr(getattr(each, "_run", None), "__qualname__", None)
        frame = each.gr_frame
        location = _innermost_location(walk_stack(frame)) if frame else "not started"
        found[location + (f" (spawned for {function})" if function else "")] += 1
    return [
        f"  {'a greenlet' if count == 1 else f'{count:,} greenlets'}: {place}"
        for place, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def kill_all(hub: Hub) -> None:
    """Kill the hub's greenlets, wait until they have ended, and destroy the hub."""
    if hub.dead:  # interrupted inside the loop: no greenlet can run
        hub.loop.destroy()
        return
    remaining = _live_greenlets(hub)
    if remaining:
        logger.debug("killing %d remaining greenlets", len(remaining))
        try:
            gevent.killall(remaining, block=True, timeout=_KILL_TIMEOUT)
        except gevent.Timeout:
            pass
        stubborn = sum(not each.dead for each in remaining)
        if stubborn:
            logger.warning("%d greenlets did not end when killed", stubborn)
    hub.destroy()


def _live_greenlets(hub: Hub) -> list[greenlet.greenlet]:
    """Return the greenlets that have not ended, except the one that created the hub.

    Only objects that refer to the hub are looked at. A reference to a greenlet of another thread,
    held while that thread ends, can crash the interpreter.
    """
    return [
        each
        for each in gc.get_referrers(hub)
        if isinstance(each, greenlet.greenlet) and each.parent is hub and not each.dead
    ]


def _innermost_location(frames: Iterable[tuple[FrameType, int]]) -> str:
    """Return the first line outside gevent in frames with their lines, innermost first."""
    for frame, line in frames:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARY_PREFIXES):
            text = linecache.getline(file, line).strip()
            return f"{file}:{line} in {frame.f_code.co_qualname}" + (f": {text}" if text else "")
    return "in gevent"
