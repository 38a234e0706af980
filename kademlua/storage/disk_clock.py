"""DiskClock: the time of the rows on disk, and how long a node was down.

Rows have a time of their own, in microseconds. It began as wall time, but runs with the node's
clock, which counts the time asleep: setting the wall clock changes nothing while the node runs.
Each commit saves a sample of the clocks. The downtime until the next start is the difference

- of the node's clock, within one boot of the machine: no wall clock is needed;
- of the wall clock, after a reboot. It is ignored if it is implausible: before 2024, or behind the
  sample. The downtime is then that since the boot, at least.

A machine without a real-time clock starts with a stale time, which is set later. So a step of the
wall clock corrects the downtime as long as the time is implausible, and for one hour after a
start. The correction ages values from before the start, but not later ones.

What cannot be known: the downtime across a reboot if the wall clock was wrong when the sample was
taken, or is wrong for more than that hour. A second start of the node within it ends the
corrections.
"""

from __future__ import annotations

import math

from kademlua.runtime.clocks import Clocks
from kademlua.storage.row_format import ClockSample, to_microseconds

_EARLIEST_WALL = 1_704_067_200.0
"""The start of 2024, before this program existed."""
_SETTLING_TIME = 3_600.0
"""Seconds after a reboot in which a step of the wall clock corrects the downtime."""
_MIN_STEP = 1.0
"""Seconds by which the wall clock differs from the expected time if it was set."""
_SAMPLE_INTERVAL = 600.0
"""Seconds between two samples without another commit. They matter only to a machine whose wall
clock is never right."""


class DiskClock:
    """Converts between the node's clock and the time on disk."""

    def __init__(self, clocks: Clocks, sample: ClockSample | None) -> None:
        """Continue the time of the last sample; None for a new store."""
        self._clocks = clocks
        self._started_at = now = clocks.clock()
        self._sampled_at = self._sampled_wall_offset = -math.inf
        self._settles_until = -math.inf
        """Until when the downtime may be corrected, by the node's clock."""
        self._wall_at_sample = 0.0
        self._downtime = self._min_downtime = 0.0
        if sample is None:
            self._offset = clocks.wall_clock() - now
            return
        seconds_since_sample = now - sample.clock_us / 1e6
        is_same_boot = bool(sample.boot_id) and sample.boot_id == clocks.boot_id
        if is_same_boot and seconds_since_sample >= 0:
            self._downtime = seconds_since_sample
        else:
            self._wall_at_sample = sample.wall_us / 1e6
            if sample.boot_id and clocks.boot_id and not is_same_boot:
                self._min_downtime = now  # counts from the boot
            downtime = self._downtime_by_wall(now)
            self._downtime = self._min_downtime if downtime is None else downtime
            if self._wall_at_sample >= _EARLIEST_WALL:
                self._settles_until = now + (_SETTLING_TIME if downtime is not None else math.inf)
        self._offset = sample.disk_us / 1e6 + self._downtime - now

    def to_disk_us(self, now: float) -> int:
        """Return a time of the node's clock as microseconds on disk."""
        disk_us = (now + self._offset) * 1e6
        return int(disk_us + 0.5) if 0 <= disk_us < 1e18 else to_microseconds(disk_us / 1e6)

    def to_clock_seconds(self, disk_us: int) -> float:
        """Return a time on disk as seconds of the node's clock."""
        return disk_us / 1e6 - self._offset

    # Samples

    def sample(self) -> ClockSample:
        """Return the present time by all clocks, to be saved."""
        now, wall = self._clocks.clock(), self._clocks.wall_clock()
        self._sampled_at, self._sampled_wall_offset = now, wall - now
        return ClockSample(
            self.to_disk_us(now), to_microseconds(now), to_microseconds(wall), self._clocks.boot_id
        )

    @property
    def needs_sample(self) -> bool:
        """Whether a sample is due: the wall clock was set, or the last one is old."""
        now = self._clocks.clock()
        step = self._clocks.wall_clock() - now - self._sampled_wall_offset
        return abs(step) >= _MIN_STEP or now - self._sampled_at >= _SAMPLE_INTERVAL

    # Corrections of the downtime

    def correct_downtime(self, now: float) -> int:
        """Return the microseconds by which the node was down longer than assumed so far.

        All times on disk are ahead by as much from now on. The caller adds it to the rows stored
        since the start.
        """
        if now >= self._settles_until:
            return 0
        downtime = self._downtime_by_wall(now)
        if downtime is None or abs(downtime - self._downtime) < _MIN_STEP:
            return 0
        correction_us = round((downtime - self._downtime) * 1e6)
        self._settles_until = min(self._settles_until, now + _SETTLING_TIME)
        self._downtime += correction_us / 1e6
        self._offset += correction_us / 1e6
        return correction_us

    def _downtime_by_wall(self, now: float) -> float | None:
        """Return the downtime by the wall clock; None if that is implausible."""
        wall_at_start = self._clocks.wall_clock() - (now - self._started_at)
        if self._wall_at_sample < _EARLIEST_WALL or wall_at_start < self._wall_at_sample:
            return None
        return max(wall_at_start - self._wall_at_sample, self._min_downtime)
