"""Finds, describes and kills the greenlets of a hub that have not ended."""

from __future__ import annotations

import gc
import linecache
import logging
import os
from collections import Counter
from types import FrameType, TracebackType

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
    lines = [f"  the main function: {_error_location(error)}", *locations(hub)]
    if len(lines) > _MAX_LOCATIONS:
        lines[_MAX_LOCATIONS:] = [f"  greenlets at {len(lines) - _MAX_LOCATIONS} more places"]
    return "\n".join(lines)


def locations(hub: Hub) -> list[str]:
    """Return a line per place where greenlets wait, most greenlets first."""
    found: Counter[str] = Counter()
    for each in _live_greenlets(hub):
        function = getattr(getattr(each, "_run", None), "__qualname__", None)
        location = _frame_location(each.gr_frame) if each else "not started"
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


def _error_location(error: BaseException) -> str:
    """Return the innermost line outside gevent in an error's traceback."""
    found = "in gevent"
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if _is_user_frame(trace.tb_frame):
            found = _format_location(trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _frame_location(frame: FrameType | None) -> str:
    """Return the innermost line outside gevent on a greenlet's stack."""
    while frame is not None:
        if _is_user_frame(frame):
            return _format_location(frame, frame.f_lineno)
        frame = frame.f_back
    return "in gevent"


def _is_user_frame(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(_LIBRARY_PREFIXES)


def _format_location(frame: FrameType, line: int) -> str:
    file = frame.f_code.co_filename
    text = linecache.getline(file, line).strip()
    return f"{file}:{line} in {frame.f_code.co_qualname}" + (f": {text}" if text else "")
